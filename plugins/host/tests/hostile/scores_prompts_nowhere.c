/* says: `prompts` of scores `bad` of condition `default` is no array of 20 */
#define CHANGE s.prompts=(const uint32_t*)64;
#include "scores.h"
