// One memory access: is it within an array, initialised, aligned, and ordered after other threads' accesses to the same bytes?
//
//      check() -> region -> cells -> check_cell(): races, initialisation      (shadow.h)
//             \-> take_turns(): a thread that runs long lets others run
//             \-> counters.count(): sectors and banks                        (counters.h)
#pragma once
#include <algorithm>

#include "report.h"
#include "signals.h"

namespace tinydx {

static Region* region_of(const char* address, uint64_t bytes) {
    for (Region& r : regions)
        if (r.contains(address, bytes)) return &r;
    return nullptr;
}

// The array that an address out of bounds was most likely meant for: the nearest one.
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
    if (continues) access.bytes |= last.bytes;  // parts of one element, written one after the other
    cell.write = access;
    for (Access* earlier : {all[1], all[2], all[3], all[4]}) earlier->bytes &= ~bytes;  // ordered before this write
}

// A fence, then an atomic: what this block wrote before is ordered before what a later block does after its own atomic there.
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

static void overflow(const char* code) {
    bool own = code >= launch->module && code < launch->module + launch->module_bytes;  // or the runtime's, called from the kernel
    report(STACK_OVERFLOW, own ? relative(code) : self->pc);
    stop();
}

// A thread that reads one address again and again, or computes long, lets others run: it may be waiting for them.
static void take_turns(char* address, uint64_t pc) {
    if (self->accesses++ % WINDOW == 0) self->lowest = self->highest = address;
    self->lowest = std::min(self->lowest, address);
    self->highest = std::max(self->highest, address);
    if (self->accesses % WINDOW) return;
    if ((since_progress += WINDOW) > launch->access_limit) endless(launch->module + pc);
    self->spins = self->highest - self->lowest < 8;
    if (!self->spins && self->accesses < SLICE) return;
    self->preempted = true;
    self->accesses = 0;
    self->pc = pc;
    to_scheduler();
}

static void check(char* address, unsigned bytes, AccessKind kind, const void* code) {
    if (!self) return;
    uint32_t pc = relative(code);
    if ((uint64_t)(address - stacks) < MAX_THREADS * STACK_BYTES) {
        if ((uint64_t)(address - stacks) / STACK_BYTES == self->view.thread) return;  // the thread's own local variables
        report_access(OUT_OF_BOUNDS, nullptr, address, bytes, kind, pc);
        stop();
    }
    Watchdog::fed = true;
    take_turns(address, pc);
    Site* site = counters.find(pc, address, bytes);
    Region* region = site ? site->region : region_of(address, bytes);
    if (!region) {
        bool constant = kind == READ && address >= launch->module && address + bytes <= launch->module + launch->module_bytes;
        if (constant) return;  // tables of the compiler
        report_access(OUT_OF_BOUNDS, nearest_region(address), address, bytes, kind, pc);
        stop();
    }
    if (!site) site = counters.add(pc, region);
    if ((uint64_t)address % bytes && (bytes & (bytes - 1)) == 0) {
        report_access(MISALIGNED, region, address, bytes, kind, pc);
        stop();
    }
    counters.count(*site, self->view.thread % 32, address, bytes, kind);
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

}  // namespace tinydx
