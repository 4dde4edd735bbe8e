/* driftgauge_metric.h: ABI of driftgauge metric plugins, major version 1.
 *
 * C99; no other header of the project is needed. All strings are UTF-8. Rules:
 *  - Structures grow at their end only. Set `struct_size` to sizeof of your structure; a reader takes what it knows,
 *    and a NULL function is an absent feature.
 *  - Memory is freed by the side that made it (`dg_buf.release`).
 *  - No exception, longjmp or panic crosses a call.
 *  - The library is never unloaded.
 * plugins/README.md tells which fields a sample has, and what the JSON of manifests, results and errors looks like.
 */
#ifndef DRIFTGAUGE_METRIC_H
#define DRIFTGAUGE_METRIC_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#  define DG_EXPORT __declspec(dllexport)
#else
#  define DG_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define DG_ABI_MAJOR 1
#define DG_ABI_MINOR 3

/* Borrowed; not NUL-terminated; {NULL, 0} is empty. */
typedef struct dg_str  { const char   *ptr; size_t len; } dg_str;
typedef struct dg_f32s { const float  *ptr; size_t len; } dg_f32s;
typedef struct dg_f64s { const double *ptr; size_t len; } dg_f64s;
typedef struct dg_strs { const dg_str *ptr; size_t len; } dg_strs;

/* Owned bytes: who fills it sets `release`, who receives it calls `release` once (NULL: nothing to free). */
typedef struct dg_buf {
  uint8_t *ptr;
  size_t   len;
  void   (*release)(struct dg_buf *);
  void    *owner;
} dg_buf;

/* Result of a call into a plugin; unknown values count as DG_INTERNAL. */
typedef int32_t dg_status;
#define DG_OK         0
#define DG_BAD_CONFIG 1 /* the configuration is wrong */
#define DG_BAD_DATA   2 /* a sample is wrong */
#define DG_INTERNAL   3 /* the plugin is wrong */
#define DG_PANIC      4 /* the plugin panicked and caught it */
#define DG_CANCELLED  5 /* stopped because the host asked */

/* Result of an accessor. */
#define DG_PRESENT     1 /* *out is set */
#define DG_NULL        0 /* the field has no value in this sample */
#define DG_NO_FIELD   -1 /* no such field */
#define DG_OTHER_TYPE -2 /* the field has another type */
#define DG_BAD_ROW    -3 /* no such row, or the host failed */

typedef struct dg_batch  dg_batch;  /* owned by the host, valid during update() only */
typedef struct dg_metric dg_metric; /* an instance, owned by the plugin */

/* Scores behind a scalar, one per prompt, as arrays of yours; the host copies them before the call returns. */
typedef struct dg_scores {
  uint32_t struct_size;
  uint32_t binary;          /* 1: every score is 0 or 1; 0: any finite numbers */
  dg_str   id, condition;   /* those of the scalar that is their mean */
  size_t   len;             /* how many: the length of each array */
  const double   *values;
  const uint8_t  *present;    /* 1, or 0 where a prompt has no score; NULL: all have one */
  const uint32_t *prompts;    /* the field `prompt` of the sample that each is of; NULL: 0, 1, 2... */
  const dg_str   *sample_ids; /* or the ids, with `prompts` NULL */
} dg_scores;

/* Host to plugin; lives until destroy() returns. Accessors write pointers that stay valid until update() returns. */
typedef struct dg_host {
  uint32_t struct_size, abi_minor;
  void    *ctx;
  void    (*log)(void *ctx, int32_t level, dg_str message); /* thread-safe; 0 error, 1 warning, 2 info, 3 debug, 4 trace */
  int32_t (*cancelled)(void *ctx);                          /* poll in long loops; non-zero: return DG_CANCELLED */
  size_t  (*len)(const dg_batch *batch);
  int32_t (*get_str) (const dg_batch *batch, size_t row, dg_str field, dg_str  *out);
  int32_t (*get_f64) (const dg_batch *batch, size_t row, dg_str field, double  *out);
  int32_t (*get_i64) (const dg_batch *batch, size_t row, dg_str field, int64_t *out);
  int32_t (*get_f32s)(const dg_batch *batch, size_t row, dg_str field, dg_f32s *out);
  int32_t (*get_strs)(const dg_batch *batch, size_t row, dg_str field, dg_strs *out);
  int32_t (*get_json)(const dg_batch *batch, size_t row, dg_str *out); /* the whole sample */
  const void *(*extension)(void *ctx, const char *id);                 /* NULL when unknown */
  int32_t (*get_f64s)(const dg_batch *batch, size_t row, dg_str field, dg_f64s *out);
  /* Since 1.1: a field of all rows at once. `out` and `found` have room for len(batch) entries; `found` gets what the accessor
   * of one row would return (where it is negative, ask that one). DG_PRESENT, or DG_NO_FIELD. */
  int32_t (*column_str) (const dg_batch *batch, dg_str field, dg_str  *out, int8_t *found);
  int32_t (*column_f64) (const dg_batch *batch, dg_str field, double  *out, int8_t *found);
  int32_t (*column_i64) (const dg_batch *batch, dg_str field, int64_t *out, int8_t *found);
  int32_t (*column_f32s)(const dg_batch *batch, dg_str field, dg_f32s *out, int8_t *found);
  int32_t (*column_strs)(const dg_batch *batch, dg_str field, dg_strs *out, int8_t *found);
  int32_t (*column_f64s)(const dg_batch *batch, dg_str field, dg_f64s *out, int8_t *found);
  /* Since 1.2: takes scores, in finish(), instead of `scores` of the JSON. DG_OK; else the host says what is wrong with them. */
  dg_status (*scores)(void *ctx, const dg_scores *scores);
} dg_host;

/* Plugin to host; static. */
typedef struct dg_metric_vtable {
  uint32_t struct_size, abi_minor;
  dg_status (*manifest)(dg_buf *json);
  dg_status (*create) (const dg_host *host, dg_str config_json, dg_metric **out, dg_buf *error);
  dg_status (*update) (dg_metric *metric, const dg_batch *batch, dg_buf *error); /* one thread at a time per instance */
  dg_status (*finish) (dg_metric *metric, dg_buf *result_json, dg_buf *error);
  void      (*destroy)(dg_metric *metric); /* called once after a successful create */
  const void *(*extension)(const char *id); /* may be NULL */
} dg_metric_vtable;

typedef struct dg_plugin {
  uint32_t struct_size, abi_minor, n_metrics, reserved;
  const dg_metric_vtable *const *metrics; /* an array of pointers, so that the vtable can grow */
} dg_plugin;

/* The one exported symbol. The major version is in its name: a mismatch is a missing symbol, not undefined behaviour. */
DG_EXPORT const dg_plugin *dg_plugin_v1(uint32_t host_abi_minor);

#ifdef __cplusplus
}
#endif
#endif
