// The runtime: runs the blocks of a launch, one after the other, its threads as fibers, and checks every access.
//
//      launch -> for each block -> scheduler <-> fibers          (fiber.h)
//                                                  | each access that g++ instrumented (-fsanitize=thread) calls
//                                                  v
//                                               check()  -> race? bounds? initialised? aligned?   (shadow.h)
//                                                        -> sectors, banks                        (counters.h)
//
// Everything runs in one operating-system thread, so plain global variables are enough.
#include "runtime.h"

#include <algorithm>
#include <map>
#include <set>
#include <string.h>
#include <stdio.h>
#include <vector>

#include "counters.h"
#include "fiber.h"
#include "interface.h"
#include "shadow.h"
#include "watchdog.h"

namespace tinydx {

// ---- state ---------------------------------------------------------------------------------------------------------

enum State : uint8_t { READY, AT_BARRIER, IN_COLLECTIVE, ASKS_WHO_IS_ACTIVE, EXITED };

struct Copy {  // a cp.async under way
    char* shared;
    const char* global;
    unsigned bytes;
    bool valid, committed;
    uint64_t group, pc;
};

struct Thread {
    Fiber fiber;
    State state;
    bool fenced;
    Index index;
    Viewer view;
    uint64_t steps;               // accesses since it last stopped
    char *lowest, *highest;       // addresses of the accesses of this window
    bool preempted, spins;        // stopped by step(); all accesses of a window were at one place
    uint64_t pc;                  // where it waits
    int predicate;                // what it brings to a barrier
    unsigned mask;                // what it brings to a collective
    void* mine;
    Complete complete;
    unsigned active;              // the answer of __activemask
    uint64_t groups;              // of cp.async, committed so far
    std::vector<Copy> copies;
};

constexpr uint64_t WINDOW = 20000;          // accesses after which it is looked at what a thread does
constexpr uint64_t SLICE = 50 * WINDOW;     // accesses after which it lets others run

static Launch* launch;
static void** arguments;          // of the kernel
static Thread threads[MAX_THREADS];
static Thread* self;              // the thread that runs; null: the scheduler
static Fiber scheduler;
static char* stacks;
static unsigned thread_count, warp_count, block_number;
static Index block_at;
static uint32_t now, block_start; // time
static int vote_result[3];
static uint64_t since_progress;   // accesses since any thread came to a barrier or an end
static bool stopped;
static uint64_t random_state;
static std::vector<Region> regions;
static std::vector<char> dynamic_memory;
static char* dynamic_start;
static Counters counters;

// Blocks that happened before, by a fence and an atomic: what each element released, and what this block has acquired.
static std::map<Cell*, std::set<uint32_t>> released;
static std::set<uint32_t> acquired;

static uint64_t random_number() {  // splitmix64
    uint64_t z = (random_state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void shuffle(std::vector<unsigned>& order) {
    for (unsigned i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random_number() % i]);
}

static uint32_t relative(const void* code) { return code ? (uint32_t)((const char*)code - launch->module) : 0; }

// ---- findings ------------------------------------------------------------------------------------------------------

// One finding for each kind and pair of places in the code; null where it is known already.
static Finding* report(FindingKind kind, uint64_t pc, uint64_t other_pc = 0) {
    for (uint64_t i = 0; i < launch->finding_count; i++) {
        const Finding& f = launch->findings[i];
        bool same = (f.pc == pc && f.other_pc == other_pc) || (other_pc && f.pc == other_pc && f.other_pc == pc);
        if (f.kind == kind && same) return nullptr;
    }
    if (launch->finding_count == launch->finding_room) return nullptr;
    Finding* f = &launch->findings[launch->finding_count++];
    *f = Finding{};
    f->kind = kind;
    f->region = -1;
    f->pc = pc;
    f->other_pc = other_pc;
    f->thread = f->other_thread = self ? self->view.thread : 0;
    f->block = f->other_block = block_number;
    return f;
}

static void to_scheduler() { switch_fiber(self->fiber, scheduler); }

// What follows would do harm (or never end): the launch ends here. Called by a thread, it does not return.
static void stop() {
    stopped = true;
    if (self) to_scheduler();
}

static Finding* report_access(FindingKind kind, const Region* region, const char* address, unsigned bytes, AccessKind access,
                              uint64_t pc, const Access* other = nullptr) {
    Finding* f = report(kind, pc, other ? other->pc : 0);
    if (!f) return nullptr;
    f->access = access;
    f->bytes = bytes;
    if (region) {
        f->region = region->index;
        f->offset = address - region->base;
    }
    if (other) {
        f->other_access = other->kind;
        f->other_thread = other->thread;
        f->other_block = other->block;
    }
    return f;
}

// ---- one access ----------------------------------------------------------------------------------------------------

static Region* region_of(const char* address, uint64_t bytes) {
    for (Region& r : regions)
        if (r.contains(address, bytes)) return &r;
    return nullptr;
}

// The array that a stray address belongs to, most likely: the nearest one.
static Region* nearest_region(const char* address) {
    Region* best = nullptr;
    uint64_t least = ~0ull;
    for (Region& r : regions) {
        uint64_t gap = address < r.base ? r.base - address : address >= r.base + r.bytes ? address - (r.base + r.bytes) : 0;
        if (gap < least) least = gap, best = &r;
    }
    return least < (1ull << 40) ? best : nullptr;
}

static bool conflict(const Access& a, uint8_t bytes, AccessKind kind) {
    if (a.time == 0 || !(a.bytes & bytes) || (a.kind == READ && kind == READ) || (a.kind == ATOMIC && kind == ATOMIC)) return false;
    if (a.block == self->view.block) return !self->view.ordered(a);
    return !acquired.count(a.block);
}

static void check_cell(Region& region, Cell& cell, char* element, uint8_t bytes, AccessKind kind, uint32_t pc) {
    const Viewer& me = self->view;
    if (region.shared && cell.born != block_start) {
        cell = Cell{};
        cell.born = block_start;
        cell.unwritten = 15;
    }
    auto finding = [&](FindingKind what, const Access* other) { report_access(what, &region, element, 4, kind, pc, other); };
    if (cell.pending & bytes) finding(MISSING_WAIT, &cell.write);
    else if (kind != WRITE && (cell.unwritten & bytes)) finding(UNINITIALISED, nullptr);
    Access* all[] = {&cell.write, &cell.reads.first, &cell.reads.other, &cell.atomics.first, &cell.atomics.other};
    for (Access* earlier : all) {
        if (!conflict(*earlier, bytes, kind)) continue;
        finding(earlier->block == me.block ? RACE : RACE_BETWEEN_BLOCKS, earlier);
        break;
    }
    Access access{now, pc, me.block, me.thread, bytes, kind};
    if (kind == READ) return remember(cell.reads, access, me);
    cell.unwritten &= ~bytes;
    if (kind == ATOMIC) return remember(cell.atomics, access, me);
    const Access& last = cell.write;
    bool continues = last.time >= me.block_sync && last.block == me.block && last.thread == me.thread;
    if (continues) access.bytes |= last.bytes;  // parts of an element, one after the other
    cell.write = access;
    for (Access* earlier : {all[1], all[2], all[3], all[4]}) earlier->bytes &= ~bytes;  // ordered before this write
}

// A fence, then an atomic: what this block wrote before is ordered before what the next block to touch it does after.
static void synchronise_blocks(Cell* cell) {
    auto& set = released[cell];
    acquired.insert(set.begin(), set.end());
    if (self->fenced) {
        set.insert(acquired.begin(), acquired.end());
        set.insert(block_number);
    }
}

static void endless(const char* code) {
    report(NO_PROGRESS, relative(code));
    stop();
}

// A thread that looks at one place again and again, or computes long, lets others run: they may be what it waits for.
static void step(char* address, uint64_t pc) {
    if (self->steps++ % WINDOW == 0) self->lowest = self->highest = address;
    self->lowest = std::min(self->lowest, address);
    self->highest = std::max(self->highest, address);
    if (self->steps % WINDOW) return;
    if ((since_progress += WINDOW) > launch->step_limit) endless(launch->module + pc);
    self->spins = self->highest - self->lowest < 8;
    if (!self->spins && self->steps < SLICE) return;
    self->preempted = true;
    self->steps = 0;
    self->pc = pc;
    to_scheduler();
}

static void check(char* address, unsigned bytes, AccessKind kind, const void* code) {
    if (!self) return;
    uint32_t pc = relative(code);
    if ((uint64_t)(address - stacks) < MAX_THREADS * STACK_BYTES) {
        if ((uint64_t)(address - stacks) / STACK_BYTES == self->view.thread) return;  // its own local variables
        report_access(OUT_OF_BOUNDS, nullptr, address, bytes, kind, pc);
        stop();
    }
    Watchdog::fed = true;
    step(address, pc);
    Site& site = counters.site(pc);
    Region* region = site.region && site.region->contains(address, bytes) ? site.region : region_of(address, bytes);
    if (!region) {
        bool constant = kind == READ && address >= launch->module && address + bytes <= launch->module + launch->module_bytes;
        if (constant) return;  // tables that the compiler made
        report_access(OUT_OF_BOUNDS, nearest_region(address), address, bytes, kind, pc);
        stop();
    }
    site.region = region;
    if ((uint64_t)address % bytes && (bytes & (bytes - 1)) == 0) {
        report_access(MISALIGNED, region, address, bytes, kind, pc);
        stop();
    }
    counters.record(site, self->view.thread % 32, *region, address, bytes, kind);
    uint64_t size = region->element, end = address + bytes - region->base;
    for (uint64_t at = (address - region->base) & ~(size - 1); at < end; at += size) {
        char* element = region->base + at;
        unsigned first = element < address ? address - element : 0, last = std::min(end - at, size);
        uint8_t mask = (1u << last) - (1u << first);
        Cell& cell = region->cell_of(at);
        if (cell.outside & mask) {
            report_access(OUT_OF_BOUNDS, region, address, bytes, kind, pc);
            stop();
        }
        if (kind == ATOMIC && !region->shared) synchronise_blocks(&cell);
        check_cell(*region, cell, element, mask, kind, pc);
    }
}

void fence() { self->fenced = true; }

// ---- where a thread stops ------------------------------------------------------------------------------------------

static void wait_as(State state, const void* code) {
    self->state = state;
    self->steps = since_progress = 0;
    self->pc = relative(code);
    to_scheduler();
}

#define CALLER __builtin_extract_return_addr(__builtin_return_address(0))

void check_read(const void* address, unsigned bytes) {
    if (launch->checked) check((char*)address, bytes, READ, CALLER);
}
void check_atomic(void* address, unsigned bytes) {
    if (launch->checked) check((char*)address, bytes, ATOMIC, CALLER);
}

void barrier() { wait_as(AT_BARRIER, CALLER); }

int barrier_vote(int predicate, Vote vote) {
    self->predicate = predicate;
    wait_as(AT_BARRIER, CALLER);
    return vote_result[vote];
}

void collective(unsigned mask, void* mine, Complete complete) {
    self->mask = mask;
    self->mine = mine;
    self->complete = complete;
    wait_as(IN_COLLECTIVE, CALLER);
}

unsigned active_mask() {
    wait_as(ASKS_WHO_IS_ACTIVE, CALLER);
    return self->active;
}

static Thread* completing;  // the first thread of the warp whose collective completes

void inactive_lane(int reader, int source) {
    Thread& thread = completing[reader];
    if (Finding* f = launch->checked ? report(INACTIVE_LANE, thread.pc) : nullptr) {
        f->thread = thread.view.thread;
        snprintf(f->detail, sizeof f->detail, "%d", source);
    }
}

// ---- cp.async ------------------------------------------------------------------------------------------------------

static void mark_pending(const Copy& copy, bool pending) {
    Region* region = region_of(copy.shared, copy.bytes);
    for (unsigned i = 0; i < copy.bytes; i += region->element) {
        Cell& cell = region->cell_of(copy.shared + i - region->base);
        cell.pending = pending ? 15 : 0;
        if (!pending) cell.write.time = now;  // for the others it is written now
    }
}

void cp_async(void* shared, const void* global, unsigned bytes, bool valid) {
    Copy copy{(char*)shared, (const char*)global, bytes, valid, false, self->groups, relative(CALLER)};
    if (launch->checked) {
        if (valid) check((char*)global, bytes, READ, CALLER);
        check((char*)shared, bytes, WRITE, CALLER);  // from here on the old content is lost
        Region* region = region_of(copy.shared, bytes);
        if (!region || !region->shared) {
            report_access(OUT_OF_BOUNDS, region, copy.shared, bytes, WRITE, copy.pc);
            stop();
        }
        mark_pending(copy, true);
    }
    self->copies.push_back(copy);
}

void cp_async_commit() { self->groups++; }

void cp_async_wait(unsigned groups_left) {
    auto arrived = [&](const Copy& copy) {
        if (copy.group + groups_left >= self->groups) return false;
        if (copy.valid) memcpy(copy.shared, copy.global, copy.bytes);
        else memset(copy.shared, 0, copy.bytes);
        if (launch->checked) mark_pending(copy, false);
        return true;
    };
    auto& copies = self->copies;
    copies.erase(std::remove_if(copies.begin(), copies.end(), arrived), copies.end());
}

// ---- scheduler -----------------------------------------------------------------------------------------------------

static void thread_main() {
    launch->kernel(arguments);
    self->state = EXITED;
    since_progress = 0;
    to_scheduler();
}

static void run(Thread& thread) {
    self = &thread;
    Watchdog::fed = true;
    switch_fiber(scheduler, thread.fiber);
    self = nullptr;
}

static void report_waiting(FindingKind kind, const Thread& thread, const Thread* other, const char* detail) {
    if (!launch->checked) return;
    if (Finding* f = report(kind, thread.pc, other && other->state != EXITED ? other->pc : 0)) {
        f->thread = thread.view.thread;
        f->other_thread = other ? other->view.thread : f->thread;
        snprintf(f->detail, sizeof f->detail, "%s", detail);
    }
}

// If the lanes that `leader` waits for are all there, do what they came for. False: somebody is still missing.
static bool complete_collective(Thread* warp, unsigned lanes, Thread& leader) {
    void* mine[32] = {nullptr};
    unsigned members = 0;
    for (unsigned i = 0; i < lanes; i++) {
        if (!(leader.mask >> i & 1) || warp[i].state == EXITED) continue;
        if (warp[i].state != IN_COLLECTIVE) return false;
        members |= 1u << i;
        mine[i] = warp[i].mine;
    }
    unsigned own = 1u << (&leader - warp);
    if (!(leader.mask & own)) {
        report_waiting(WARP_DIVERGENCE, leader, nullptr, "own lane missing");
        stopped = true;
        return true;
    }
    for (unsigned i = 0; i < lanes; i++) {
        if (!(members >> i & 1) || (warp[i].mask == leader.mask && warp[i].complete == leader.complete)) continue;
        report_waiting(WARP_DIVERGENCE, leader, &warp[i], warp[i].mask == leader.mask ? "another operation" : "another mask");
        stopped = true;
        return true;
    }
    now++;
    completing = warp;
    if (leader.complete) leader.complete(mine);
    for (unsigned i = 0; i < lanes; i++) {
        if (!(members >> i & 1)) continue;
        warp[i].state = READY;
        if (!leader.complete) warp[i].view.warp_sync = now;  // __syncwarp orders memory; shuffles and votes do not
    }
    return true;
}

// __activemask: the lanes that ask at the same place, when all others have stopped elsewhere.
static bool answer_who_is_active(Thread* warp, unsigned lanes) {
    for (unsigned i = 0; i < lanes; i++) {
        if (warp[i].state != ASKS_WHO_IS_ACTIVE) continue;
        unsigned group = 0;
        for (unsigned j = i; j < lanes; j++)
            if (warp[j].state == ASKS_WHO_IS_ACTIVE && warp[j].pc == warp[i].pc) group |= 1u << j;
        for (unsigned j = i; j < lanes; j++)
            if (group >> j & 1) warp[j].active = group, warp[j].state = READY;
        return true;
    }
    return false;
}

enum Progress { NONE, SPINNING, SOME };

// Run each lane of a warp that can run until it stops, and complete what they came together for.
static Progress run_warp(Thread* warp, unsigned lanes, std::vector<unsigned>& order) {
    order.resize(lanes);
    for (unsigned i = 0; i < lanes; i++) order[i] = i;
    shuffle(order);
    Progress progress = NONE;
    for (unsigned i : order) {
        if (warp[i].state != READY) continue;
        warp[i].preempted = false;
        run(warp[i]);
        if (stopped) return NONE;
        progress = std::max(progress, warp[i].preempted && warp[i].spins ? SPINNING : SOME);
    }
    if (launch->checked) counters.end_segment();
    for (unsigned i = 0; i < lanes && !stopped; i++)
        if (warp[i].state == IN_COLLECTIVE && complete_collective(warp, lanes, warp[i])) progress = SOME;
    if (progress == NONE && answer_who_is_active(warp, lanes)) progress = SOME;
    return progress;
}

// All threads wait at a barrier, or have returned: let them go on.
static void release_barrier() {
    Thread *first = nullptr, *gone = nullptr;
    vote_result[COUNT] = vote_result[OR] = 0;
    vote_result[AND] = 1;
    now++;
    for (Thread* t = threads; t < threads + thread_count; t++) {
        if (t->state == EXITED) {
            if (!gone) gone = t;
            continue;
        }
        if (!first) first = t;
        if (t->pc != first->pc && !launch->lenient) report_waiting(BARRIER_DIVERGENCE, *first, t, "other barrier");
        vote_result[COUNT] += t->predicate != 0;
        vote_result[AND] &= t->predicate != 0;
        vote_result[OR] |= t->predicate != 0;
        t->state = READY;
        t->view.block_sync = t->view.warp_sync = now;
    }
    if (gone && !launch->lenient) report_waiting(BARRIER_DIVERGENCE, *first, gone, "returned");
}

static void report_deadlock() {
    const Thread *in_collective = nullptr, *elsewhere = nullptr;
    for (Thread* t = threads; t < threads + thread_count; t++) {
        if (t->state == IN_COLLECTIVE && !in_collective) in_collective = t;
    }
    const Thread* warp = threads + in_collective->view.thread / 32 * 32;
    for (unsigned i = 0; i < 32 && warp + i < threads + thread_count; i++)
        if (in_collective->mask >> i & 1 && warp[i].state == AT_BARRIER) elsewhere = &warp[i];
    report_waiting(DEADLOCK, *in_collective, elsewhere, "");
    stopped = true;
}

static void begin_block() {
    block_start = ++now;
    since_progress = 0;
    acquired.clear();
    for (uint64_t i = 0; i < launch->variable_count; i++)
        if (launch->variables[i].shared) memset(launch->variables[i].address, 0xff, launch->variables[i].bytes);
    if (launch->dynamic_shared) memset(dynamic_start, 0xff, launch->dynamic_shared);
    for (unsigned i = 0; i < thread_count; i++) {
        Thread& t = threads[i];
        t.state = READY;
        t.fenced = false;
        t.index = {i % launch->block[0], i / launch->block[0] % launch->block[1], i / launch->block[0] / launch->block[1]};
        t.view = {block_number, block_start, block_start, (uint16_t)i};
        t.steps = t.groups = 0;
        t.pc = 0;
        t.copies.clear();
        start_fiber(t.fiber, stacks + i * STACK_BYTES, thread_main);
    }
}

// Threads that only look at one place again and again, while nobody else can do anything.
static void report_spinning() {
    for (Thread* t = threads; t < threads + thread_count; t++)
        if (t->state == READY) return report_waiting(NO_PROGRESS, *t, nullptr, "spins");
}

static Progress run_warps() {
    static std::vector<unsigned> warps, lanes;
    warps.resize(warp_count);
    for (unsigned i = 0; i < warp_count; i++) warps[i] = i;
    shuffle(warps);
    Progress progress = NONE;
    for (unsigned w : warps) {
        Progress of_warp = run_warp(threads + 32 * w, std::min(32u, thread_count - 32 * w), lanes);
        progress = std::max(progress, of_warp);
        if (stopped) return NONE;
    }
    return progress;
}

static void run_block() {
    begin_block();
    unsigned spinning = 0;
    while (!stopped) {
        Progress progress = run_warps();
        spinning = progress == SPINNING ? spinning + 1 : 0;
        if (spinning == 4) {
            report_spinning();
            stopped = true;
        }
        if (stopped || progress != NONE) continue;
        unsigned exited = 0, waiting = 0;
        for (unsigned i = 0; i < thread_count; i++) {
            exited += threads[i].state == EXITED;
            waiting += threads[i].state == AT_BARRIER;
        }
        if (exited == thread_count) return;
        if (exited + waiting < thread_count) report_deadlock();
        else release_barrier();
    }
}

// ---- a launch ------------------------------------------------------------------------------------------------------

struct Memory {  // of the device, while a launch runs: arrays far apart, so that no index out of bounds meets another array
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
    Watchdog watchdog(launch->module, launch->checked ? launch->module_bytes : 0, endless);  // unchecked code feeds nobody
    uint64_t blocks = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
    for (uint64_t b = 0; b < blocks && !stopped; b++) {
        block_number = b;
        unsigned x = b % launch->grid[0], y = b / launch->grid[0] % launch->grid[1];
        block_at = {x, y, (unsigned)(b / launch->grid[0] / launch->grid[1])};
        run_block();
    }
}

// The one entry for Python. 0: it ran (there may be findings); 1: no memory.
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

// ---- what the headers ask ------------------------------------------------------------------------------------------

Index thread_index() { return self->index; }
Index block_index() { return block_at; }
Index block_size() { return {launch->block[0], launch->block[1], launch->block[2]}; }
Index grid_size() { return {launch->grid[0], launch->grid[1], launch->grid[2]}; }
int lane() { return self->view.thread % 32; }
void* dynamic_shared() { return dynamic_start; }

}  // namespace tinydx

// ---- what g++ calls: -fsanitize=thread before each access, -fsanitize=alignment,bounds,... where something is wrong -------

using namespace tinydx;

#define TSAN(bytes)                                                                                                            \
    extern "C" void __tsan_read##bytes(void* p) { check((char*)p, bytes, READ, CALLER); }                                      \
    extern "C" void __tsan_write##bytes(void* p) { check((char*)p, bytes, WRITE, CALLER); }                                    \
    extern "C" void __tsan_unaligned_read##bytes(void* p) { check((char*)p, bytes, READ, CALLER); }                            \
    extern "C" void __tsan_unaligned_write##bytes(void* p) { check((char*)p, bytes, WRITE, CALLER); }                          \
    extern "C" void __tsan_volatile_read##bytes(void* p) { check((char*)p, bytes, READ, CALLER); }                             \
    extern "C" void __tsan_volatile_write##bytes(void* p) { check((char*)p, bytes, WRITE, CALLER); }
TSAN(1)
TSAN(2)
TSAN(4)
TSAN(8)
TSAN(16)
extern "C" void __tsan_read_range(void* p, unsigned long bytes) { check((char*)p, bytes, READ, CALLER); }
extern "C" void __tsan_write_range(void* p, unsigned long bytes) { check((char*)p, bytes, WRITE, CALLER); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}

struct TypeName {      // as g++ describes a type to its sanitizers
    uint16_t kind, info;
    char name[1];
};
struct Place {         // in the source; the code address tells the same, and is right for inlined functions, too
    const char* file;
    uint32_t line, column;
};
struct BoundsData {
    Place place;
    const TypeName *array, *index;
};
struct TypeData {
    Place place;
    const TypeName* type;
    uint8_t log_alignment, kind;
};
struct ArithmeticData {
    Place place;
    const TypeName* type;
};

static void arithmetic(const void* code, const char* what, const TypeName* type) {
    if (Finding* f = self ? report(ARITHMETIC, relative(code)) : nullptr)
        snprintf(f->detail, sizeof f->detail, "%s of %s", what, type->name);
}

extern "C" void __ubsan_handle_out_of_bounds(BoundsData* data, uint64_t index) {
    bool wide = data->index->info >> 1 > 5;  // the binary logarithm of its bits
    if (Finding* f = report(OUT_OF_BOUNDS, relative(CALLER)))
        snprintf(f->detail, sizeof f->detail, "%lld %s", wide ? (long long)index : (long long)(int32_t)index, data->array->name);
    stop();
}
extern "C" void __ubsan_handle_type_mismatch_v1(TypeData* data, char* address) {
    if ((uint64_t)address % (1ull << data->log_alignment) == 0) return;
    Region* region = nearest_region(address);
    AccessKind kind = data->kind == 1 ? WRITE : READ;
    report_access(MISALIGNED, region, address, 1u << data->log_alignment, kind, relative(CALLER));
    stop();
}
extern "C" void __ubsan_handle_add_overflow(ArithmeticData* d, void*, void*) { arithmetic(CALLER, "overflow in a sum", d->type); }
extern "C" void __ubsan_handle_sub_overflow(ArithmeticData* d, void*, void*) { arithmetic(CALLER, "overflow in a difference", d->type); }
extern "C" void __ubsan_handle_mul_overflow(ArithmeticData* d, void*, void*) { arithmetic(CALLER, "overflow in a product", d->type); }
extern "C" void __ubsan_handle_negate_overflow(ArithmeticData* d, void*) { arithmetic(CALLER, "overflow in a negation", d->type); }
extern "C" void __ubsan_handle_shift_out_of_bounds(ArithmeticData* d, void*, void*) { arithmetic(CALLER, "too large a shift", d->type); }
extern "C" void __ubsan_handle_divrem_overflow(ArithmeticData* d, void*, void*) {
    arithmetic(CALLER, "division by zero", d->type);
    stop();
}
