/* WebSocket frames as a client receives them. */
#include "fuzz_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	return fuzz_ws(false, p, n);
}
