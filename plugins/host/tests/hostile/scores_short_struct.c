/* says: a `dg_scores` states a `struct_size` of 48 */
#define CHANGE s.struct_size=48;
#include "scores.h"
