// Findings: mistakes, stored once for each kind and place. Python (findings.py) turns them into sentences.
#pragma once
#include <stdio.h>

#include "state.h"

namespace tinydx {

// One finding for each kind and pair of places in the code; null if it is already known.
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

// End the launch, because continuing would do harm or never end. Called by a thread, it does not return.
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

static void report_waiting(FindingKind kind, const Thread& thread, const Thread* other, const char* detail) {
    if (!launch->checked) return;
    if (Finding* f = report(kind, thread.pc, other && other->state != EXITED ? other->pc : 0)) {
        f->thread = thread.view.thread;
        f->other_thread = other ? other->view.thread : f->thread;
        snprintf(f->detail, sizeof f->detail, "%s", detail);
    }
}

}  // namespace tinydx
