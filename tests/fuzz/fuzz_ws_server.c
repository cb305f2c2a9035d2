/* WebSocket frames as a server receives them. */
#include "fuzz_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	return fuzz_ws(true, p, n);
}
