// CUDA's words in C++, so that g++ compiles the very text of a .cu and the processor runs it, one thread after another.
// What is here stands before the text of a kernel; cuda_shim.cpp runs it.
#pragma once

#include <math.h>
#include <string.h>

#include <type_traits>
#include <utility>

#define OURS __attribute__((no_sanitize_thread))  // the loads and stores of the kernel alone are watched
#define __global__
#define __device__
#define __shared__ static __attribute__((section("cuda_shared")))  // one for all threads of a block: they run in turn

struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct Place { dim3 grid, block, block_index, thread_index; };
extern Place place;
#define threadIdx place.thread_index
#define blockIdx place.block_index
#define blockDim place.block
#define gridDim place.grid

void __syncthreads();

// Half precision: sign, five bits of the exponent, ten behind the point. To the nearest, and half way to the even.
OURS inline float widened(unsigned short bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                                : ldexpf(exponent ? 1024 + fraction : fraction, (exponent ? exponent : 1) - 25);
    return copysignf(size, bits >> 15 ? -1.0f : 1.0f);
}
OURS inline unsigned short narrowed(float x) {
    int sign = signbit(x) ? 1 << 15 : 0, exponent;
    float size = fabsf(x);
    if (!(size < 65520)) return sign | (isnan(x) ? 0x7FFF : 0x7C00);
    frexpf(size, &exponent);
    if (size == 0 || exponent < -13) exponent = -13;  // from there down the steps stay the same
    return sign | ((exponent + 13) * 1024 + int(nearbyintf(ldexpf(size, 11 - exponent))));
}

struct Half;

namespace shim {

template <class T> struct Code;  // of a parameter's type: what Python must hand over
template <> struct Code<int> { static constexpr const char *of = "i4 "; };
template <> struct Code<unsigned long long> { static constexpr const char *of = "u8 "; };
template <> struct Code<unsigned char> { static constexpr const char *of = "u1 "; };
template <> struct Code<unsigned> { static constexpr const char *of = "u4 "; };
template <> struct Code<long long> { static constexpr const char *of = "i8 "; };
template <> struct Code<Half> { static constexpr const char *of = "f2 "; };
template <> struct Code<float> { static constexpr const char *of = "f4 "; };
template <> struct Code<double> { static constexpr const char *of = "f8 "; };
template <class T> struct Code<T *> { static constexpr const char *of = Code<std::remove_const_t<T>>::of; };

template <class... A> OURS void signature(void (*)(A...), char *text) {
    text[0] = 0;
    (strcat(strcat(text, std::is_pointer_v<A> ? "*" : ""), Code<A>::of), ...);
}

template <class... A, size_t... I> OURS void call(void (*kernel)(A...), void **given, std::index_sequence<I...>) {
    kernel(*static_cast<A *>(given[I])...);
}
template <class... A> OURS void call(void (*kernel)(A...), void **given) {
    call(kernel, given, std::index_sequence_for<A...>());
}

}  // namespace shim

// What Python sees of a kernel: its parameters, and the call of one thread.
#define EXPORT(kernel)                                                                         \
    extern "C" OURS void signature_of_##kernel(char *text) { shim::signature(kernel, text); }  \
    extern "C" OURS void call_##kernel(void **given) { shim::call(kernel, given); }
