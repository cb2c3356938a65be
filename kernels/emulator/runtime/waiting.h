// Where a thread stops: at a barrier of the block, or for an operation of its warp. The scheduler (scheduler.h) continues it.
#pragma once
#include "access.h"

namespace tinydx {

static void wait_as(State state, const void* code) {
    if (launch->checked && ++stops > launch->access_limit / 4) endless((const char*)code);  // endless waits
    self->state = state;
    self->accesses = since_progress = 0;
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

void give_up(const char* why) {
    if (Finding* f = report(ASSERTION, relative(CALLER))) snprintf(f->detail, sizeof f->detail, "%s", why);
    stop();
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

}  // namespace tinydx
