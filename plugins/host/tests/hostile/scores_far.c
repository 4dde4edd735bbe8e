/* says: `values` of scores `bad` of condition `default` is no array of 20 */
#define CHANGE s.values=(const double*)0x7000000000000000;
#include "scores.h"
