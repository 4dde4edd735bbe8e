/* says: failed: it gave no reason */
#define H_CREATE *o=calloc(1,sizeof**o);return DG_INTERNAL
#include "base.h"
