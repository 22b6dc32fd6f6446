/* The C interface of Smidgen's native kernels: plain pointers and integers, no torch, no Python.
 *
 * Nothing is checked here: the callers (`smidgen.kernels`, `smidgen.engine`) have done it. No function
 * throws, and none keeps a pointer after it returns. Sizes count elements unless they say bytes.
 *
 * A shift is given as runs: triples (count, dy, dx) over contiguous channels; every channel reads
 * y[h, w] = x[h + dy, w + dx], and zero outside. The counts add up to the channels.
 */
#ifndef SMIDGEN_H
#define SMIDGEN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMIDGEN_API __attribute__((visibility("default")))

enum smidgen_type { SMIDGEN_FLOAT32 = 0, SMIDGEN_BFLOAT16 = 1, SMIDGEN_FLOAT16 = 2 };

/* A batch of maps. `channels_last` is 1 where memory holds [n, h, w, c], 0 for [n, c, h, w]; dense. */
struct smidgen_maps {
  int64_t n, c, h, w;
  int32_t channels_last;
};

/* A shift and the 1x1 convolution that follows it; `maps` are those of the input.
 * Output: [n, c_out, ceil(h / stride), ceil(w / stride)] in the same memory format and type. */
struct smidgen_shift_conv {
  struct smidgen_maps maps;
  int64_t c_out, stride;
  const int64_t* runs; /* n_runs triples (count, dy, dx) */
  int64_t n_runs;
  int32_t type; /* enum smidgen_type of maps, weight and bias */
};

/* Changes with anything below; a caller built for another one must not call. */
#define SMIDGEN_ABI 1
SMIDGEN_API int32_t smidgen_abi(void);

/* Name of the instruction set in use: "avx512", "avx2" or "portable". Chosen once, at the first call;
 * the environment variable SMIDGEN_ISA forces one that the processor has, and is ignored otherwise. */
SMIDGEN_API const char* smidgen_isa(void);

/* Comma-separated instruction sets that this library holds and this processor has, the best one first. */
SMIDGEN_API const char* smidgen_isas(void);

/* Let an OpenMP runtime of the host run the parallel parts, so that two pools of threads do not fight for
 * the cores: the address of its GOMP_parallel. NULL: threads of this library's own. */
SMIDGEN_API void smidgen_use_openmp(void* gomp_parallel);

/* y = shift(x), copied bit by bit; `bytes` per element: any number. Returns 0, or 1 where memory has run
 * out, as all functions that compute. */
SMIDGEN_API int32_t smidgen_shift2d(const struct smidgen_maps* maps, const int64_t* runs, int64_t n_runs,
                                    int32_t bytes, const void* x, void* y, int32_t threads);

/* y = weight * shift(x) + bias, without writing shift(x). weight: [c_out, c]; bias: [c_out] or NULL.
 * Computed in float32, whatever the type. */
SMIDGEN_API int32_t smidgen_shift_conv_forward(const struct smidgen_shift_conv* conv, const void* x,
                                               const void* weight, const void* bias, void* y, int32_t threads);

/* Gradients of the above from that of y. Each of grad_x, grad_weight and grad_bias may be NULL. The same
 * number of threads gives the same bits. Threads share the work by images. */
SMIDGEN_API int32_t smidgen_shift_conv_backward(const struct smidgen_shift_conv* conv, const void* x,
                                                const void* weight, const void* grad_y, void* grad_x,
                                                void* grad_weight, void* grad_bias, int32_t threads);

#ifdef __cplusplus
}
#endif

#endif
