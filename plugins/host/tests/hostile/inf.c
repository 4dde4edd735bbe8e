/* says: it is not the JSON of an output: number out of range */
#define H_FINISH give(o, "{\"schema\":1,\"scalars\":[{\"id\":\"bad\",\"title\":\"t\",\"condition\":\"default\",\"value\":1e999,\"n\":20,\"ci\":null,\"primary\":true}]}"); return DG_OK
#include "base.h"
