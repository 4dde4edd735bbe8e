/* says: `present` of scores `bad` of condition `default` is no array of 20 */
#define CHANGE s.present=(const uint8_t*)1;
#include "scores.h"
