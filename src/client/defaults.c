#include "client/defaults.h"

#include "base/pool.h"
#include "base/text.h"

#define SEAL_THREADS 4
#define SEND_THREADS 2
#define GET_THREADS  4

uint64_t default_ms(const char *text)
{
	uint64_t ms = 0;

	return parse_duration(text, &ms) == 0 ? ms : 0;
}

uint32_t default_size(const char *text)
{
	uint64_t size = 0;

	return parse_size(text, UINT32_MAX, &size) == 0 ? (uint32_t)size : 0;
}

unsigned default_seal_threads(void)
{
	return default_threads(1, SEAL_THREADS);
}

unsigned default_send_threads(void)
{
	return default_threads(-1, SEND_THREADS);
}

unsigned default_get_threads(void)
{
	return default_threads(1, GET_THREADS);
}
