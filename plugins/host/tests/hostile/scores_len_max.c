/* says: `len` 18446744073709551615, and 20 samples were shown */
#define CHANGE s.len=(size_t)-1;
#include "scores.h"
