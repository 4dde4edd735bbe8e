/* says: is malformed: the manifest of metric 0 is not as described: invalid unicode code point */
#define H_MANIFEST give(o,"{\"id\":\"\xff\"}");return DG_OK
#include "base.h"
