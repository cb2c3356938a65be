// What the runtime offers to the emulated device headers.
#pragma once

namespace tinydx {

struct Index {
    unsigned x, y, z;
};

// `const`: they do not change within a thread, so the compiler may call them once.
Index thread_index() __attribute__((const));
Index block_index() __attribute__((const));
Index block_size() __attribute__((const));
Index grid_size() __attribute__((const));
int lane() __attribute__((const));
void* dynamic_shared() __attribute__((const));

enum Vote { COUNT, AND, OR };
void barrier();
int barrier_vote(int predicate, Vote vote);

// An operation of all lanes in `mask` together. Each brings `mine`; when all have arrived, `complete` runs once on all of them
// (null for a lane that does not take part) and writes the results into them.
using Complete = void (*)(void** lanes);
void collective(unsigned mask, void* mine, Complete complete);
unsigned active_mask();

// For `complete`: lane `reader` reads from lane `source`, which does not take part.
void inactive_lane(int reader, int source);

// Report to the checker an access that the compiler does not instrument.
void check_read(const void* address, unsigned bytes);
void check_atomic(void* address, unsigned bytes);
void fence();

// End the thread: an assertion failed, or __trap.
void give_up(const char* why);

// cp.async: checked when it starts; the data arrives only at the wait.
void cp_async(void* shared, const void* global, unsigned bytes, bool valid);
void cp_async_commit();
void cp_async_wait(unsigned groups_left);

}  // namespace tinydx
