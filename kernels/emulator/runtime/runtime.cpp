// The runtime: runs the blocks of a launch one after the other, their threads as fibers, and checks every access.
//
//      launch -> for each block -> scheduler <-> fibers          (scheduler.h, fiber.h)
//                                                  | each access that g++ instrumented (-fsanitize=thread) calls
//                                                  v                                                        (callbacks.h)
//                                               check()  -> race? bounds? initialised? aligned?   (access.h, shadow.h)
//                                                        -> sectors, banks                        (counters.h)
//
// Everything runs in one operating-system thread. All of it is one translation unit: this file and its headers.
#include "runtime.h"

#include <algorithm>
#include <string.h>
#include <vector>

#include "access.h"
#include "callbacks.h"
#include "copies.h"
#include "denormals.h"
#include "interface.h"
#include "scheduler.h"
#include "signals.h"

namespace tinydx {

// ---- a launch ------------------------------------------------------------------------------------------------------

struct Memory {  // of the device during a launch: arrays lie far apart, so that no index out of bounds reaches another array
    char *arrays = nullptr, *cells = nullptr;
    uint64_t array_bytes = 0, cell_bytes = 0;

    ~Memory() {
        if (arrays) munmap(arrays, array_bytes);
        if (cells) munmap(cells, cell_bytes);
    }
};

static uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }
static uint64_t red_zone(uint64_t bytes) { return round_up(std::max<uint64_t>(bytes, 1 << 20), 4096); }

static void add_region(char* base, uint64_t bytes, uint64_t element, bool shared) {
    regions.push_back({base, bytes, nullptr, shared, (int)regions.size(), (unsigned)element});
}

static bool place(Memory& memory) {
    regions.clear();
    for (uint64_t i = 0; i < launch->array_count; i++) {
        uint64_t bytes = launch->arrays[i].bytes;
        memory.array_bytes += round_up(bytes, 256) + 2 * red_zone(bytes);
    }
    memory.arrays = reserve(std::max<uint64_t>(memory.array_bytes, 1));
    char* next = memory.arrays;
    for (uint64_t i = 0; i < launch->array_count && memory.arrays; i++) {
        const Array& a = launch->arrays[i];
        next += red_zone(a.bytes);
        memcpy(next, a.data, a.bytes);
        add_region(next, a.bytes, a.element, false);
        next += round_up(a.bytes, 256) + red_zone(a.bytes);
    }
    for (uint64_t i = 0; i < launch->variable_count; i++) {
        const Variable& v = launch->variables[i];
        add_region(v.address, v.bytes, v.element, v.shared);
    }
    add_region(dynamic_start, launch->dynamic_shared, launch->dynamic_element, true);
    uint64_t count = 1;
    for (const Region& r : regions) count += r.cell_count();
    memory.cell_bytes = count * sizeof(Cell);
    memory.cells = reserve(memory.cell_bytes);
    if (!memory.arrays || !memory.cells) return false;
    Cell* cells = (Cell*)memory.cells;
    for (Region& r : regions) {
        r.cells = cells;
        cells += r.cell_count();
    }
    return true;
}

// From bytes (as Python marks them) to cells, and back.
static void mark_cells() {
    for (uint64_t i = 0; i < launch->array_count; i++) {
        const Array& a = launch->arrays[i];
        for (uint64_t b = 0; b < a.bytes && (a.unwritten || a.outside); b++) {
            Cell& cell = regions[i].cell_of(b);
            if (a.unwritten && a.unwritten[b]) cell.unwritten |= regions[i].bit_of(b);
            if (a.outside && a.outside[b]) cell.outside |= regions[i].bit_of(b);
        }
    }
}

static void copy_back() {
    for (uint64_t i = 0; i < launch->array_count; i++) {
        Array& a = launch->arrays[i];
        memcpy(a.data, regions[i].base, a.bytes);
        for (uint64_t b = 0; b < a.bytes && a.unwritten; b++)
            a.unwritten[b] = (regions[i].cell_of(b).unwritten & regions[i].bit_of(b)) != 0;
    }
}

static void run_blocks() {
    FlushDenormals flush;
    Watchdog watchdog(launch->module, launch->checked ? launch->module_bytes : 0, endless);  // unchecked code never feeds it
    StackGuard guard(stacks, MAX_THREADS * STACK_BYTES, STACK_BYTES, overflow);
    uint64_t blocks = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
    for (uint64_t b = 0; b < blocks && !stopped; b++) {
        block_number = b;
        unsigned x = b % launch->grid[0], y = b / launch->grid[0] % launch->grid[1];
        block_at = {x, y, (unsigned)(b / launch->grid[0] / launch->grid[1])};
        run_block();
    }
}

// The entry point for Python. 0: the launch ran, perhaps with findings; 1: not enough memory.
extern "C" int tinydx_launch(Launch* request) {
    launch = request;
    thread_count = launch->block[0] * launch->block[1] * launch->block[2];
    warp_count = (thread_count + 31) / 32;
    stopped = false;
    now = 0;
    random_state = launch->seed;
    released.clear();
    if (!stacks) stacks = reserve(MAX_THREADS * STACK_BYTES);
    dynamic_memory.resize(launch->dynamic_shared + 256);
    dynamic_start = (char*)round_up((uint64_t)dynamic_memory.data(), 256);
    Memory memory;
    if (!stacks || (launch->checked && !place(memory))) return 1;
    std::vector<char*> pointers(launch->parameter_count);
    std::vector<void*> addresses(launch->parameter_count);
    for (uint64_t i = 0; i < launch->parameter_count; i++) {
        const Parameter& p = launch->parameters[i];
        if (p.array >= 0) pointers[i] = (launch->checked ? regions[p.array].base : launch->arrays[p.array].data) + p.offset;
        addresses[i] = p.array < 0 && p.scalar ? p.scalar : (void*)&pointers[i];
    }
    arguments = addresses.data();
    if (launch->checked) {
        mark_cells();
        counters.begin(launch->module_bytes);
    }
    run_blocks();
    if (launch->checked) {
        copy_back();
        launch->counter_count = counters.write(launch->counters, launch->counter_room);
    }
    return 0;
}

// ---- for the device headers ------------------------------------------------------------------------------------------

Index thread_index() { return self->index; }
Index block_index() { return block_at; }
Index block_size() { return {launch->block[0], launch->block[1], launch->block[2]}; }
Index grid_size() { return {launch->grid[0], launch->grid[1], launch->grid[2]}; }
int lane() { return self->view.thread % 32; }
void* dynamic_shared() { return dynamic_start; }

}  // namespace tinydx
