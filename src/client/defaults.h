/*
 * What a client does when nobody says otherwise: the program's options and the library's zeros
 * mean the same. Texts have the form of options (base/text.h).
 */
#ifndef PQC_CLIENT_DEFAULTS_H
#define PQC_CLIENT_DEFAULTS_H

#include <stdint.h>

#define DEFAULT_CONNECT	  "10s"
#define DEFAULT_IDLE	  "1m"
#define DEFAULT_RETRY	  "10m"
#define DEFAULT_SEAL_PART "4M"
#define DEFAULT_SEND_PART "1M"

#define CLIENT_THREADS_MAX 64

/* The values that these texts have, in milliseconds and bytes. */
uint64_t default_ms(const char *text);
uint32_t default_size(const char *text);

unsigned default_seal_threads(void); /* of seal, open */
unsigned default_send_threads(void);
unsigned default_get_threads(void);

#endif
