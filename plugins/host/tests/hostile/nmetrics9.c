/* says: is malformed: the table of metric 1 of 9 is no structure: its address is */
#define N_METRICS 9
#include "base.h"
