/* For the tests of pqc.h: a directory, keys, bytes, sources and sinks, and what a call leaves behind. */
#ifndef PQC_TESTS_LIB_FIXTURE_H
#define PQC_TESTS_LIB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pqc.h"

static struct pqc_error e;
static char place[64]; /* a directory of the test's own */

static inline int place_new(void **state)
{
	(void)state;
	strcpy(place, "/tmp/pqc-lib-XXXXXX");
	return mkdtemp(place) != NULL ? 0 : -1;
}

static inline int place_remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

static inline int place_free(void **state)
{
	(void)state;
	return nftw(place, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path in it; good for the next seven calls. */
static inline const char *at(const char *leaf)
{
	static char text[8][256];
	static unsigned next;
	char *t = text[next++ % 8];

	snprintf(t, sizeof(text[0]), "%s/%s", place, leaf);
	return t;
}

#define ok(call)                                                           \
	do {                                                               \
		e.message[0] = '\0';                                       \
		if ((call) != PQC_OK)                                      \
			fail_msg("%s: %s (%d)", #call, e.message, e.code); \
		assert_int_equal(e.code, PQC_OK);                          \
		assert_string_equal(e.message, "");                        \
	} while (0)

/* It must fail with this code, say so in e too, and give a sentence with this in it. */
#define fails(want, text, call)                                                       \
	do {                                                                          \
		int rc_ = (call);                                                     \
		if (rc_ != (want))                                                    \
			fail_msg("%s: %d, not %s: %s", #call, rc_, #want, e.message); \
		assert_int_equal(e.code, (want));                                     \
		if (strstr(e.message, text) == NULL)                                  \
			fail_msg("%s: no '%s' in '%s'", #call, text, e.message);      \
	} while (0)

static inline uint8_t *noise(size_t n)
{
	uint8_t *p = malloc(n + 1);
	uint32_t x = (uint32_t)n + 12345;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (uint8_t)(x >> 24);
	}
	return p;
}

static inline void write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

static inline uint8_t *read_file(const char *path, size_t *n)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *p;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*n = (size_t)st.st_size;
	p = malloc(*n + 1);
	assert_non_null(p);
	assert_int_equal(read(fd, p, *n), *n);
	close(fd);
	return p;
}

static inline bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Names in a directory, those that begin with "." too. */
static inline int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = -2;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* What a call could leave behind in the process. */
static inline int open_descriptors(void)
{
	return entries("/proc/self/fd");
}

/* A thread that was joined may still be listed for a moment: the kernel takes it off after the wake. */
static inline void only_one_thread(void)
{
	while (entries("/proc/self/task") != 1)
		usleep(100);
}

/* ---- sources and sinks ---- */

static inline struct pqc_source from_path(const char *path)
{
	return (struct pqc_source){.kind = PQC_IO_PATH, .path = path};
}

static inline struct pqc_sink to_path(const char *path)
{
	return (struct pqc_sink){.kind = PQC_IO_PATH, .path = path};
}

static inline struct pqc_source from_memory(const void *p, uint64_t n)
{
	return (struct pqc_source){.kind = PQC_IO_MEMORY, .data = p, .size = n};
}

static inline struct pqc_sink to_memory(void *p, uint64_t n)
{
	return (struct pqc_sink){.kind = PQC_IO_MEMORY, .data = p, .size = n};
}

/* Bytes that functions give and take, in pieces of odd lengths. */
struct tape {
	uint8_t *p;
	size_t n, at, most; /* most: bytes a call */
	int64_t fail_with;  /* at fail_at; 0: never */
	size_t fail_at;
	int busy; /* calls under way: never two */
};

static inline int64_t tape_read(void *arg, void *p, size_t n)
{
	struct tape *t = arg;

	assert_int_equal(__atomic_fetch_add(&t->busy, 1, __ATOMIC_SEQ_CST), 0);
	if (t->fail_with != 0 && t->at >= t->fail_at) {
		t->busy = 0;
		return t->fail_with;
	}
	n = n < t->most ? n : t->most;
	n = n < t->n - t->at ? n : t->n - t->at;
	memcpy(p, t->p + t->at, n);
	t->at += n;
	__atomic_fetch_sub(&t->busy, 1, __ATOMIC_SEQ_CST);
	return (int64_t)n;
}

static inline int tape_write(void *arg, const void *p, size_t n)
{
	struct tape *t = arg;

	assert_int_equal(__atomic_fetch_add(&t->busy, 1, __ATOMIC_SEQ_CST), 0);
	if (t->fail_with != 0 && t->at + n > t->fail_at) {
		t->busy = 0;
		return (int)t->fail_with;
	}
	assert_true(n <= t->n - t->at);
	memcpy(t->p + t->at, p, n);
	t->at += n;
	__atomic_fetch_sub(&t->busy, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static inline struct pqc_source from_tape(struct tape *t, uint64_t size)
{
	return (struct pqc_source){
		.kind = PQC_IO_CALLBACK, .size = size, .read = tape_read, .arg = t};
}

static inline struct pqc_sink to_tape(struct tape *t)
{
	return (struct pqc_sink){.kind = PQC_IO_CALLBACK, .write = tape_write, .arg = t};
}

/* ---- watching ---- */

struct watch {
	int calls, stop_at;	     /* 0: never */
	struct pqc_cancel *set_at_1; /* set in the first call */
	struct pqc_progress last;
};

static inline int watch_progress(void *arg, const struct pqc_progress *p)
{
	struct watch *w = arg;

	w->calls++;
	assert_true(p->done >= w->last.done);
	assert_true(p->total == PQC_SIZE_UNKNOWN || p->done <= p->total);
	w->last = *p;
	if (w->set_at_1 != NULL)
		pqc_cancel_set(w->set_at_1);
	return w->stop_at != 0 && w->calls >= w->stop_at;
}

#endif
