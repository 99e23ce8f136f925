// Runs a kernel on the processor, and watches.
//
// g++ has marked every load and store of the kernel as for a thread sanitizer. That sanitizer is this file: it knows the
// arrays of the launch and which thread touched which element, so it names a race, whether or not it changed the
// answer, and what goes beyond an array, shared memory and the thread's own stack.

#include <stdio.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

#include "cuda_shim.h"

Place place;
extern "C" char __start_cuda_shared[] __attribute__((weak)), __stop_cuda_shared[] __attribute__((weak));

namespace {

struct Touched {  // one element: who wrote it last and who read it, as thread + 1; and how many barriers ago
    int writer = 0, reader = 0;
    int written = 0, read = 0;
};
const int MANY = -1;  // readers, of several blocks; −1 − block − 1: several of one block

struct Array {
    char *begin, *end;
    int itemsize;
    std::vector<Touched> touched;
};

std::vector<Array> arrays;
std::unordered_map<char *, Touched> shared;
char *stack_low, *stack_high;
int current, per_block, barriers;
bool watching;
char trouble[400];

int block_of(int who) { return who < MANY ? -who - 2 : (who - 1) / per_block; }

bool apart(int who, int when) {  // whether `who` may be at it at the same time as the current thread
    return who && who != current + 1 &&
           (who == MANY || block_of(who) != current / per_block || when == barriers);
}

void complain(const char *what, int array, long element, int other) {
    if (trouble[0]) return;
    char who[80] = "";
    if (other) snprintf(who, sizeof who, other < 0 ? " and other threads" : " and thread %d", other - 1);
    char where[80];
    if (array < 0) snprintf(where, sizeof where, "shared memory, byte %ld", element);
    else snprintf(where, sizeof where, "array %d, element %ld", array, element);
    snprintf(trouble, sizeof trouble, "thread %d%s: %s, %s", current, who, what, where);
}

void touch(Touched &t, bool write, int array, long element) {
    if (apart(t.writer, t.written)) complain(write ? "both write" : "one reads what the other writes", array, element, t.writer);
    if (write) {
        if (apart(t.reader, t.read)) complain("one writes what the other reads", array, element, t.reader);
        t.writer = current + 1, t.written = barriers;
    } else {
        bool same_block = t.reader && t.reader != MANY && block_of(t.reader) == current / per_block;
        if (!t.reader || t.reader == current + 1) t.reader = current + 1;
        else t.reader = same_block ? (t.read < barriers ? current + 1 : -2 - current / per_block) : MANY;
        t.read = barriers;
    }
}

void access(void *address, long size, bool write) {
    if (!watching) return;
    char *a = static_cast<char *>(address);
    for (size_t i = 0; i < arrays.size(); i++) {
        Array &array = arrays[i];
        if (a >= array.begin && a + size <= array.end) {
            long element = (a - array.begin) / array.itemsize;
            return touch(array.touched[element], write, i, element);
        }
    }
    if (a >= stack_low && a < stack_high) return;
    if (a >= (char *)&place && a < (char *)(&place + 1)) return;
    if (a >= __start_cuda_shared && a < __stop_cuda_shared) return touch(shared[a], write, -1, a - __start_cuda_shared);
    size_t nearest = 0;
    auto off = [a](const Array &array) { return a < array.begin ? array.begin - a : a - array.end; };
    for (size_t i = 1; i < arrays.size(); i++)
        if (off(arrays[i]) < off(arrays[nearest])) nearest = i;
    if (arrays.size())
        complain(write ? "writes out of bounds" : "reads out of bounds", nearest,
                 (a - arrays[nearest].begin) / arrays[nearest].itemsize, 0);
}

// -- a launch ---------------------------------------------------------------------------------------------------------

const size_t STACK = 1 << 16;
ucontext_t host;
struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool done = false;
};
std::vector<Fiber> fibers;
int running;
void (*body)(void **);
void **arguments;

void enter() {
    body(arguments);
    fibers[running].done = true;
    watching = false;
    swapcontext(&fibers[running].context, &host);
}

std::vector<int> in_order(int n, int order, unsigned seed) {
    std::vector<int> result(n);
    for (int i = 0; i < n; i++) result[i] = order == 1 ? n - 1 - i : i;
    if (order == 2) std::shuffle(result.begin(), result.end(), std::mt19937(seed));
    return result;
}

void go_to(int block, int thread) {
    current = block * per_block + thread;
    place.block_index = {unsigned(block), 0, 0};
    place.thread_index = {unsigned(thread), 0, 0};
}

void one_after_another(int blocks, int order) {
    stack_high = static_cast<char *>(__builtin_frame_address(0)), stack_low = stack_high - (1 << 18);
    watching = true;
    for (int i : in_order(blocks * per_block, order, 0)) {
        go_to(i / per_block, i % per_block);
        body(arguments);
    }
    watching = false;
}

void from_barrier_to_barrier(int blocks, int order) {
    fibers = std::vector<Fiber>(per_block);
    for (Fiber &fiber : fibers) fiber.stack.reset(new char[STACK]);
    for (int block : in_order(blocks, order, 0)) {
        memset(__start_cuda_shared, 0xFF, __stop_cuda_shared - __start_cuda_shared);  // NaN: nobody may count on zeros
        shared.clear();
        barriers = 0;
        for (Fiber &fiber : fibers) {
            getcontext(&fiber.context);
            fiber.context.uc_stack.ss_sp = fiber.stack.get(), fiber.context.uc_stack.ss_size = STACK;
            makecontext(&fiber.context, enter, 0);
            fiber.done = false;
        }
        for (int waiting = per_block; waiting; barriers++) {
            int before = waiting;
            for (int i : in_order(per_block, order, barriers)) {
                if (fibers[i].done) continue;
                go_to(block, running = i);
                stack_low = fibers[i].stack.get(), stack_high = stack_low + STACK;
                watching = true;
                swapcontext(&host, &fibers[i].context);
                waiting -= fibers[i].done;
            }
            if (waiting && waiting < before) complain("waits at a barrier that others left out", -1, 0, 0);
        }
    }
}

}  // namespace

void __syncthreads() {
    int mine = running;
    watching = false;
    swapcontext(&fibers[mine].context, &host);
}

extern "C" const char *launch(void (*kernel)(void **), int blocks, int threads, bool has_barriers, int order,
                              void **given, int count, void **begins, long *bytes, int *itemsizes) {
    arrays.clear();
    for (int i = 0; i < count; i++) {
        char *begin = static_cast<char *>(begins[i]);
        arrays.push_back({begin, begin + bytes[i], itemsizes[i], std::vector<Touched>(bytes[i] / itemsizes[i])});
    }
    trouble[0] = 0, barriers = 0, per_block = threads, body = kernel, arguments = given;
    place.grid = {unsigned(blocks), 1, 1}, place.block = {unsigned(threads), 1, 1};
    (has_barriers ? from_barrier_to_barrier : one_after_another)(blocks, order);
    return trouble;
}

extern "C" {  // what the compiler calls
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
#define ACCESS(size)                                                                  \
    void __tsan_read##size(void *a) { access(a, size, false); }            \
    void __tsan_write##size(void *a) { access(a, size, true); }            \
    void __tsan_unaligned_read##size(void *a) { access(a, size, false); }  \
    void __tsan_unaligned_write##size(void *a) { access(a, size, true); }
ACCESS(1) ACCESS(2) ACCESS(4) ACCESS(8) ACCESS(16)
void __tsan_read_range(void *a, long n) { access(a, n, false); }
void __tsan_write_range(void *a, long n) { access(a, n, true); }
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}
}
