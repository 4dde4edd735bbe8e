/* says: failed: it gave no reason */
#define H_UPDATE return -5
#include "base.h"
