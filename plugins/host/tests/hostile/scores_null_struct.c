/* says: the `dg_scores` at 0x0 is no memory */
#define CHANGE at=NULL;
#include "scores.h"
