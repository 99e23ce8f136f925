// What every .cu may assume: the launcher puts this text before it, and then says what numbers are: Element what lies in
// an array, Real what is computed with (float where the elements are Half, and else the same), Whole the whole ones.
//
// A kernel has the name and the arguments of its Python twin, without (first, last). An array arrives as its pointer
// and then its shape, one int an axis (of equal axes one has a name, the others have none); factors arrive as Real.
// A comment before each kernel says what one row, or one thread, does.
//
// Work is divided among all the threads that there are: any launch gives the same result. No two threads write to the
// same place, and each adds up in the order of its Python twin: no atomics, and the same bits in every run.

#define KERNEL extern "C" __global__ void

const int WARP = 32;  // threads that run together: where they read neighbours in memory, they read at once

__device__ inline int thread() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline int threads() { return gridDim.x * blockDim.x; }

// A warp for each row of memory and its lanes along the row: one row, one division for each axis, however long it is.
__device__ inline int warp() { return thread() / WARP; }
__device__ inline int warps() { return threads() / WARP; }
__device__ inline int lane() { return thread() % WARP; }

#ifdef __CUDACC__
__device__ inline float widened(unsigned short bits)
{
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}

__device__ inline unsigned short narrowed(float x)
{
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
#endif

// Half precision, 16 bits: it is read as a float and rounded when it is written, so all arithmetic is that of float.
struct Half {
    unsigned short bits;
    __device__ operator float() const { return widened(bits); }
    __device__ void operator=(float x) { bits = narrowed(x); }
};
