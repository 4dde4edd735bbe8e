/* says: `values` of scores `bad` of condition `default` is no array of 20 */
#define CHANGE s.values=(const double*)((const char*)v+3);
#include "scores.h"
