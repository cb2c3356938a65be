// The state of a launch: its threads, time, memory. There is one launch at a time, so these are plain global variables.
#pragma once
#include <map>
#include <set>
#include <vector>

#include "counters.h"
#include "fiber.h"
#include "interface.h"
#include "runtime.h"
#include "shadow.h"

namespace tinydx {

enum State : uint8_t { READY, AT_BARRIER, IN_COLLECTIVE, ASKS_WHO_IS_ACTIVE, EXITED };

struct Copy {  // a cp.async that has not arrived yet
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
    uint64_t accesses;            // since it last stopped
    char *lowest, *highest;       // addresses of the accesses in this window
    bool preempted, spins;        // stopped by take_turns(); all accesses of a window were at one address
    uint64_t pc;                  // where it waits
    int predicate;                // what it brings to a barrier
    unsigned mask;                // what it brings to a collective
    void* mine;
    Complete complete;
    unsigned active;              // the answer of __activemask
    uint64_t groups;              // of cp.async, committed so far
    std::vector<Copy> copies;
};

constexpr uint64_t WINDOW = 20000;          // accesses after which take_turns() looks at what a thread does
constexpr uint64_t SLICE = 50 * WINDOW;     // accesses after which a thread lets others run

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
static uint64_t since_progress;   // accesses since any thread reached a barrier or its end
static uint64_t stops;            // of threads, at barriers and in collectives, since the block began or one of them ended
static bool stopped;
static uint64_t random_state;
static std::vector<Region> regions;
static std::vector<char> dynamic_memory;
static char* dynamic_start;
static Counters counters;

// Blocks ordered before others by a fence and an atomic: those that each element has released, and that this block has acquired.
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

}  // namespace tinydx
