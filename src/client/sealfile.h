/*
 * Containers (docs/container.md): sealing, opening, changing who can open,
 * looking inside. Everything here blocks and may be called from any thread.
 *
 * Sources and sinks are those of pqc.h. A regular file, by path or by descriptor,
 * and the caller's memory are read and written at many places at once. Everything
 * else, and a descriptor opened with O_APPEND, is a stream and is read or written in
 * order. Descriptors stay open; a regular file's position is left behind the last
 * byte written. A path's file appears under its name after success (outfile.h).
 * Memory: 2 * part_size a thread and little more, whatever the length.
 */
#ifndef PQC_CLIENT_SEALFILE_H
#define PQC_CLIENT_SEALFILE_H

#include <stdatomic.h>

#include "container/offline.h"
#include "pqc.h"

#define SEAL_THREADS_MAX 64

/*
 * Called from any of the working threads, but never twice at once. done and
 * total count plaintext bytes; total is PQX_SIZE_UNKNOWN where nobody knows.
 * Not 0: stop with PQC_EINTERRUPTED.
 */
typedef int progress_fn(void *arg, uint64_t done, uint64_t total);

/* Those to whom something is sealed, and what besides opens it. Borrowed. */
struct seal_to {
	const struct public_identity *const *recipients;
	size_t nrecipients;
	const char *passphrase;		   /* not empty; excludes all others */
	const struct argon2_params *argon; /* NULL: 64 MiB, 3 passes, 4 lanes */
	const uint8_t *raw_key;		   /* KEY_LEN bytes */
	const void *associated_data;	   /* bound to raw_key, without which it is PQC_EUSAGE */
	size_t associated_data_size;	   /* 0: none */
	const struct kek *kek;		   /* with one, the file is not flagged end to end */
};

struct seal_opts {
	const struct pqc_source *from;
	const struct pqc_sink *to;
	const struct suite *suite;   /* NULL: the signer's, else Kyber768 */
	uint32_t part_size;	     /* 0: PQX_PART_DEFAULT */
	unsigned threads;	     /* 0: one for each core; at most SEAL_THREADS_MAX */
	struct seal_to whom;	     /* at least one of its kinds */
	const struct identity *sign; /* of the same suite; NULL: unsigned */
	uint64_t time;		     /* seconds since 1970, for the manifest */
	uint8_t *sha256; /* SHA256_LEN bytes, of the plaintext, after success; NULL: spare it */
	/* Ends it with PQC_EINTERRUPTED, a wait for a stream too. NULL: nothing but progress does. */
	const atomic_bool *cancel;
	progress_fn *progress; /* NULL: none */
	void *arg;
};

struct seal_result {
	struct pqx_header header;
	uint64_t n, plain_size;
	uint64_t sealed_size; /* of the container, in bytes */
};

/*
 * Seal `from` to `to`. PQC_ECHANGED when `from` is a regular file that somebody
 * changed meanwhile, or a callback gave another number of bytes than it was
 * declared to. PQC_ETOOBIG when `to` is memory that is too small: plain_size and
 * sealed_size say what is needed, PQX_SIZE_UNKNOWN when the end of a stream was not seen
 * yet; nothing was written if the size was known before. After an error a
 * descriptor or the memory may hold a piece of a container that does not open.
 */
int seal_stream(const struct seal_opts *o, struct seal_result *r, struct err *e) MUST_CHECK;

/*
 * Bytes of the container of plain_size bytes. PQX_SIZE_UNKNOWN where plain_size is that, or where no
 * container can be made of these.
 */
uint64_t seal_size(const struct suite *s, uint32_t part_size, uint64_t plain_size, bool is_signed);

/* What may open a container: those given are tried. Borrowed. */
struct open_keys {
	const struct identity *identity;
	const struct kek *kek;
	const uint8_t *raw_key;	     /* KEY_LEN bytes */
	const void *associated_data; /* what raw_key was bound to; PQC_EUSAGE without raw_key */
	size_t associated_data_size; /* 0: none */
	const char *passphrase;
};

/*
 * Find the DEK of a container with any of the keys and check the key block.
 * PQC_ENOKEY, PQC_EPASSPHRASE (wrong, or needed and not given), PQC_EINTEGRITY.
 */
int open_keys_unlock(const struct open_keys *o, const struct keyblock *kb,
		     const struct pqx_header *h, struct pqx_keys *k, struct err *e) MUST_CHECK;

struct open_opts {
	const struct pqc_source *from;
	const struct pqc_sink *to;
	struct open_keys keys;
	const uint8_t *expected_sender; /* ID_LEN bytes; NULL: anybody or nobody */
	unsigned threads;		/* as in seal_opts */
	uint8_t *sha256;		/* as in seal_opts */
	const atomic_bool *cancel;	/* as in seal_opts */
	progress_fn *progress;
	void *arg;
};

struct open_result {
	struct pqx_header header; /* sender_id: who signed; zero when nobody did */
	uint64_t n, plain_size, time;
};

/*
 * Open `from` to `to`. PQC_EREFUSED when the sender is not the expected one or
 * the file is unsigned and one was expected, before anything is written.
 * PQC_ETOOBIG and PQC_ECHANGED as in seal_stream; the needed size is plain_size.
 *
 * A regular file given by its descriptor must be one that nobody sees yet: the
 * caller gives it its name after success (and fsync) and removes it after an error.
 *
 * A stream gets plaintext before the whole was checked. What it gets is always
 * a true beginning of what was sealed: each part is authenticated, with its
 * place, before a byte of it is written. But only a return of 0 says that it
 * is all of it, and, where `from` is a stream too, that the sender's signature is
 * good (else the signature is checked first). So a caller of a stream must not
 * act on what came through before this has returned 0, and a program must exit
 * with an error when it did not. The same goes for memory, which after an error
 * holds such parts of the plaintext as were opened.
 */
int open_stream(const struct open_opts *o, struct open_result *r, struct err *e) MUST_CHECK;

struct rewrap_opts {
	int dirfd; /* AT_FDCWD allowed */
	const char *path;
	struct open_keys keys;
	bool remove_all;		 /* every stanza that is there */
	const uint8_t (*remove)[ID_LEN]; /* recipients; PQC_ENOTFOUND when one is not there */
	size_t nremove;
	struct seal_to add; /* after the removals */
};

/*
 * Change who can open the container at path without touching its body. After
 * an error or a crash at any moment it opens for those of before or for those
 * of after, once rewrap_repair has run. PQC_ETEMP when another process is
 * doing the same. *generation, if not NULL, gets the key block's new generation.
 *
 * How: the new head goes durably to the side file path + REWRAP_SUFFIX, then
 * its key block over the old one, then the side file is removed. The file's modification
 * time changes; its name, length and inode do not.
 */
#define REWRAP_SUFFIX ".keyblock.new"
int rewrap_file(const struct rewrap_opts *o, uint32_t *generation, struct err *e) MUST_CHECK;
/*
 * Finish what an interrupted rewrap_file left at path; nothing is done when
 * there is no side file. Call it before opening a container by name; 1 when
 * something was repaired. PQC_EREFUSED when the side file is not of this container.
 */
int rewrap_repair(int dirfd, const char *path, struct err *e) MUST_CHECK;

/* A stanza, for people. */
struct stanza_info {
	enum stanza_type type;
	uint8_t id[ID_LEN]; /* types 1, 2: the recipient's */
	uint8_t kek_id[KEK_ID_LEN];
	uint32_t kek_version;
	struct argon2_params argon; /* type 4 */
};

enum manifest_status {
	MANIFEST_UNSEEN,   /* a stream: its end was not read */
	MANIFEST_BAD,	   /* missing, damaged, or not of this header and length */
	MANIFEST_SIGNED,   /* by the header's sender, and the signature is good */
	MANIFEST_UNSIGNED, /* only who can open it can tell whether it is good */
};

struct inspect_result {
	struct pqx_header header;
	uint32_t generation;
	size_t nstanzas;
	struct stanza_info stanza[STANZA_COUNT_MAX];
	uint64_t file_size, body_size; /* 0 for a stream; body_size 0 when the end is bad */
	enum manifest_status status;
	struct pqx_manifest manifest; /* when SIGNED or UNSIGNED */
};

/*
 * What can be known without a key; the commitment, the key block's mac, the
 * parts and an unsigned manifest cannot. PQC_EINTEGRITY when the head is no
 * container's; a bad end is a status, not an error.
 */
int inspect_file(int fd, struct inspect_result *r, struct err *e) MUST_CHECK;

#endif
