/* says: `len` 21, and 20 samples were shown */
#define CHANGE s.len=21;
#include "scores.h"
