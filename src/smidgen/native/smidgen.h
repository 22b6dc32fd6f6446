/* The C interface of Smidgen's native kernels: plain pointers and integers, no torch, no Python.
 *
 * Sizes and addresses are not checked here: the callers (`smidgen.kernels`, `smidgen.engine`) have done it. A number that
 * its enumeration has not is refused, never taken for another. No function throws, and none keeps a pointer after it
 * returns. Sizes count elements unless they say bytes.
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

/* What functions that compute return. UNKNOWN: a number that stands for nothing here; nothing was computed then. */
enum smidgen_status { SMIDGEN_DONE = 0, SMIDGEN_NO_MEMORY = 1, SMIDGEN_UNKNOWN = 2 };

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
#define SMIDGEN_ABI 8
SMIDGEN_API int32_t smidgen_abi(void);

/* Name of the instruction set in use: "avx512_bf16" (AVX-512 with products of bfloat16), "avx512", "avx2", "neon" or
 * "portable". Chosen once, at the first call;
 * the environment variable SMIDGEN_ISA forces one that the processor has, and is ignored otherwise. */
SMIDGEN_API const char* smidgen_isa(void);

/* Comma-separated instruction sets that this library holds and this processor has, the best one first. */
SMIDGEN_API const char* smidgen_isas(void);

/* Let an OpenMP runtime of the host run the parallel parts of shifts and norms, which stand between its own, so that two
 * pools of threads do not fight for the cores: the address of its GOMP_parallel. NULL: threads of this library's own,
 * which whole networks always run on. A forked child has to lend its own anew. */
SMIDGEN_API void smidgen_use_openmp(void* gomp_parallel);

/* y = shift(x), copied bit by bit; `bytes` per element: any number. Returns an
 * enum smidgen_status, as all functions that compute. */
SMIDGEN_API int32_t smidgen_shift2d(const struct smidgen_maps* maps, const int64_t* runs, int64_t n_runs,
                                    int32_t bytes, const void* x, void* y, int32_t threads);

/* y = weight * shift(x) + bias, without writing shift(x). weight: [c_out, c]; bias: [c_out] or NULL.
 * Summed in float32, whatever the type. Where the processor multiplies bfloat16, numbers below 2^-126 count as zero. */
SMIDGEN_API int32_t smidgen_shift_conv_forward(const struct smidgen_shift_conv* conv, const void* x,
                                               const void* weight, const void* bias, void* y, int32_t threads);

/* Gradients of the above from that of y. Each of grad_x, grad_weight and grad_bias may be NULL. The same
 * number of threads gives the same bits. Threads share the work by images. */
SMIDGEN_API int32_t smidgen_shift_conv_backward(const struct smidgen_shift_conv* conv, const void* x,
                                                const void* weight, const void* grad_y, void* grad_x,
                                                void* grad_weight, void* grad_bias, int32_t threads);

/* ---- BatchNorm while training ---- */

/* BatchNorm of float[pixels][channels] by their own statistics, with an activation behind it:
 * y = activation((x - mean) / sqrt(variance + eps) * weight + bias). Any number of threads gives the same bits. */
struct smidgen_norm {
  int64_t pixels, channels;
  const float *weight, *bias;
  double eps;
  int32_t activation; /* enum smidgen_activation; not SMIDGEN_SIGMOID */
};

/* Writes y, and the mean and the variance (over pixels, not one less) of each channel. */
SMIDGEN_API int32_t smidgen_norm_forward(const struct smidgen_norm* norm, const float* x, float* y, float* mean,
                                         float* variance, int32_t threads);

/* Gradients of the above from that of y; mean and variance are what it wrote. */
SMIDGEN_API int32_t smidgen_norm_backward(const struct smidgen_norm* norm, const float* x, const float* mean,
                                          const float* variance, const float* grad_y, float* grad_x,
                                          float* grad_weight, float* grad_bias, int32_t threads);

/* ---- Whole networks ---- */

/* Maps of one picture, or neighbouring channels of one: element (h, w, c) is `at` + (h * width + w) * pixel +
 * c * channel. In the arena a pixel's channels lie together. The places of input and output follow from picture to
 * picture. */
enum smidgen_space { SMIDGEN_NOWHERE = 0, SMIDGEN_ARENA = 1, SMIDGEN_INPUT = 2, SMIDGEN_OUTPUT = 3 };
struct smidgen_view {
  int64_t at, h, w, c, pixel, channel;
  int32_t space; /* enum smidgen_space; NOWHERE: not there */
};

enum smidgen_kind {
  SMIDGEN_CONV = 0,      /* y = then(activation(weight * (before(shift(x)) * gate) + bias) + add) */
  SMIDGEN_DEPTHWISE = 1, /* y = activation(weight * x + bias); sums: of y, some pixels */
  SMIDGEN_POOL = 2,      /* y = the largest, or the mean, of the windows of x */
  SMIDGEN_MEAN = 3,      /* y = sum of all pixels of x, times factor */
  SMIDGEN_POINTWISE = 4, /* y = then(before(shift(x)) * gate + add) */
  SMIDGEN_TRANSPOSE = 5  /* y = the channels of x one after the other */
};

enum smidgen_activation {
  SMIDGEN_IDENTITY = 0,
  SMIDGEN_RELU = 1,
  SMIDGEN_RELU6 = 2,
  SMIDGEN_SILU = 3,
  SMIDGEN_SIGMOID = 4
};

enum smidgen_pool { SMIDGEN_MAX = 0, SMIDGEN_AVERAGE = 1, SMIDGEN_AVERAGE_INSIDE = 2 };

/* before: activation(x * scale + offset); shift, before and gate are for convolutions with kernel 1. */
struct smidgen_op {
  int32_t kind;                     /* enum smidgen_kind */
  int32_t type;                     /* enum smidgen_type of the maps: SMIDGEN_FLOAT32 */
  int32_t before, activation, then; /* enum smidgen_activation */
  int32_t pool;                     /* enum smidgen_pool */
  int32_t winograd;                 /* 1: CONV of 3x3 with stride 1 by Winograd's F(4x4, 3x3) */
  struct smidgen_view x, y, add, gate, sums;
  int64_t kernel, stride, dilation, top, left; /* rows above and columns to the left that are padding */
  int64_t padding;                             /* of a pool: as far as SMIDGEN_AVERAGE counts, on all sides */
  /* CONV: packed by smidgen_pack from float[c_out][kernel][kernel][c_in]; by Winograd's way from 36 of
   * float[c_out][c_in], for each panel of smidgen_padded(1) columns the 36 one after the other. DEPTHWISE:
   * float[kernel][kernel][c]. */
  const float* weight;
  const float* bias;           /* [c_out], readable as far as smidgen_padded says, or NULL */
  const float *scale, *offset; /* [c_in] or NULL */
  const int64_t* runs;         /* of the shift, as triples; NULL: none */
  int64_t n_runs;
  float factor;
  /* DEPTHWISE: a plain convolution with kernel 1 that makes x, which is then nowhere kept; or NULL. */
  const struct smidgen_op* first;
};

/* Columns rounded up as a bias must be; floats that a matrix float[columns][depth] takes when packed; and packing it.
 * They depend on the instruction set. scale: [columns], by which each column is multiplied, or NULL. */
SMIDGEN_API int64_t smidgen_padded(int64_t columns);
SMIDGEN_API int64_t smidgen_packed_floats(int64_t columns, int64_t depth);
SMIDGEN_API void smidgen_pack(const float* matrix, const float* scale, int64_t columns, int64_t depth, float* packed);

/* How many pixels of sums a DEPTHWISE leaves; -1 for another operation, or one with something unknown. */
SMIDGEN_API int64_t smidgen_op_sums(const struct smidgen_op* op);

/* Floats of memory that smidgen_run needs with so many threads and an arena of so many floats; -1 where
 * an operation has something unknown. */
SMIDGEN_API int64_t smidgen_run_floats(const struct smidgen_op* ops, int64_t n_ops, int64_t arena, int32_t threads);

/* Takes pictures through all operations. x: float[pictures][input], y: float[pictures][output], each picture so
 * many floats; memory: as smidgen_run_floats says. Any number of threads gives the same bits. seconds: NULL, or room
 * for a time for each operation, to which what it took is added; pictures are then done one after the other.
 * Returns an enum smidgen_status. */
SMIDGEN_API int32_t smidgen_run(const struct smidgen_op* ops, int64_t n_ops, int64_t arena, int64_t pictures,
                                const float* x, int64_t input, float* y, int64_t output, float* memory,
                                int32_t threads, double* seconds);

/* Softmax of each of the rows float[columns]: y = e^x over the row's sum of e^x, for finite numbers however large. An
 * e^(x - largest) below e^-87 counts as something from 0 to e^-87. columns: at least 1. y may be x. */
SMIDGEN_API void smidgen_softmax(const float* x, int64_t rows, int64_t columns, float* y);

/* ---- The machine ---- */

/* Multiplies and adds on each of the threads, in registers alone: what the arithmetic of this instruction set can do.
 * Returns how many multiply-adds that were, all threads together. */
SMIDGEN_API int64_t smidgen_multiply_adds(int64_t rounds, int32_t threads);

#ifdef __cplusplus
}
#endif

#endif
