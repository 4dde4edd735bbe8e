/* says: is malformed: what `dg_plugin_v1` returned is null */
#define H_ENTRY return NULL
#include "base.h"
