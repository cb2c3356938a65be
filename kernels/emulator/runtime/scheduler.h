// Runs a block: the lanes of each warp in random order until they stop, then completes the operations they stopped for.
//
//      READY -> runs -> AT_BARRIER          until all threads of the block have arrived or returned
//                    -> IN_COLLECTIVE       until all lanes of the mask have arrived
//                    -> ASKS_WHO_IS_ACTIVE  until no other lane of the warp can run
//                    -> EXITED
//
// If no thread can run and no operation completes, it is a deadlock.
#pragma once
#include <algorithm>
#include <string.h>

#include "waiting.h"

namespace tinydx {

static void thread_main() {
    launch->kernel(arguments);
    self->state = EXITED;
    since_progress = stops = 0;
    to_scheduler();
}

static void run(Thread& thread) {
    self = &thread;
    Watchdog::fed = true;
    switch_fiber(scheduler, thread.fiber);
    self = nullptr;
}

// If all lanes that `leader` waits for have arrived, do their operation. False: a lane is still missing.
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

// __activemask: the lanes that ask at the same place, once all others have stopped elsewhere.
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

// Run each lane of a warp until it stops, and complete the operations for which all lanes have arrived.
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

// All threads wait at a barrier or have returned: let the waiting ones continue.
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
        if (t->pc != first->pc && !launch->allow_divergent_barriers) report_waiting(BARRIER_DIVERGENCE, *first, t, "other barrier");
        vote_result[COUNT] += t->predicate != 0;
        vote_result[AND] &= t->predicate != 0;
        vote_result[OR] |= t->predicate != 0;
        t->state = READY;
        t->view.block_sync = t->view.warp_sync = now;
    }
    if (gone && !launch->allow_divergent_barriers) report_waiting(BARRIER_DIVERGENCE, *first, gone, "returned");
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
    since_progress = stops = 0;
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
        t.accesses = t.groups = 0;
        t.pc = 0;
        t.copies.clear();
        start_fiber(t.fiber, stacks + i * STACK_BYTES, thread_main);
    }
}

// A thread reads one address again and again, while no other thread can run.
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

}  // namespace tinydx
