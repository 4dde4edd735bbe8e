/* says: is malformed: the table of metric 0 of 1 states a `struct_size` of 0, at which no field of it ends */
#define V_SIZE 0
#include "base.h"
