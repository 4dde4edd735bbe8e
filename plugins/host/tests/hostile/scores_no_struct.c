/* says: the `dg_scores` at 0x10 is no memory */
#define CHANGE at=(dg_scores*)16;
#include "scores.h"
