/*
 * libpqc: PQC Secure Transfer as a library. MIT licence.
 *
 * Thread rule: functions here may be called from any thread.
 */
#ifndef PQC_H
#define PQC_H

#ifdef __cplusplus
extern "C" {
#endif

#define PQC_API __attribute__((visibility("default")))

/* "0.1.0". Static. */
PQC_API const char *pqc_version(void);

/*
 * For an error code that a pqc program printed or a server logged ("integrity",
 * "refused", ...): what it means, in a sentence, and the exit code it gives.
 * NULL and -1 for a name that is none. Static.
 */
PQC_API const char *pqc_error_meaning(const char *name);
PQC_API int pqc_error_exit_code(const char *name);

#ifdef __cplusplus
}
#endif

#endif
