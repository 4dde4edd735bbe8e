/* says: is malformed: the manifest of metric 0 is not as described: missing field `id */
#define H_MANIFEST give(o,"{}");return DG_OK
#include "base.h"
