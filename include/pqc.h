/*
 * libpqc: PQC Secure Transfer as a library. MIT licence.
 *
 * Everything the program pqc does, for programs: sealing and opening containers
 * (docs/container.md), sending and getting objects (docs/protocol.md), keys, and a server.
 * docs/library.md is the guide, examples/c/ has programs.
 *
 * Results. A function that can fail returns PQC_OK or a negative code of enum pqc_code, and
 * fills *e, which may be NULL, with the code and a sentence for a person: what was expected,
 * what was found, what to do. No text here ever holds a secret.
 *
 * Threads. Any function may be called from any thread. An object is used by many threads at the
 * same time as long as its functions take it as const; making, changing and freeing it is for
 * one thread alone. There is no global state: nothing to initialise, nothing printed, no signal
 * handled, no environment read but by pqc_home_path, and by OpenSSL SSL_CERT_FILE and SSL_CERT_DIR where
 * the system's certificates are wanted. A call that sends or gets works with threads of its own, which
 * are gone when it returns, and lets no SIGPIPE arise.
 *
 * Ownership. What pqc_*_new, _load, _parse, _generate give is the caller's, who frees it with
 * pqc_*_free (NULL is fine); after a failure it is NULL or zero. Pointers in options and sources are borrowed until the call
 * returns, unless it is said otherwise. Strings are UTF-8 and end with a zero.
 *
 * Growth. A struct that begins with `struct_size` is set to zero, then struct_size to its
 * sizeof (the PQC_INIT macro does both): an older program's shorter struct works with a newer
 * library. A field that is zero means the default.
 */
#ifndef PQC_H
#define PQC_H

#include <stddef.h>
#include <stdint.h>

#define PQC_API __attribute__((visibility("default")))

#define PQC_ID_SIZE	 32 /* bytes of an identity's id: SHA-512(public signature key)[0..32) */
#define PQC_FILE_ID_SIZE 32
#define PQC_KEY_SIZE	 32
#define PQC_SHA256_SIZE	 32
#define PQC_SIZE_UNKNOWN UINT64_MAX

/* struct pqc_seal_options o = PQC_INIT(o); */
#ifdef __cplusplus
template <typename T> static inline T pqc_init()
{
	T object = T();

	object.struct_size = sizeof(T);
	return object;
}
#define PQC_INIT(object) pqc_init<decltype(object)>()
#else
#define PQC_INIT(object)                      \
	{                                     \
		.struct_size = sizeof(object) \
	}
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0". Static. */
PQC_API const char *pqc_version(void);

/* ---- errors ---- */

enum pqc_code {
	PQC_OK = 0,
	PQC_EFAIL = -1,	    /* failed for a reason of its own; see the message */
	PQC_EUSAGE = -2,    /* an argument is wrong or missing */
	PQC_ENOTFOUND = -3, /* no such object, file or key */
	PQC_EREFUSED = -4,
	PQC_ETEMP = -5,
	PQC_EINTEGRITY = -6,
	PQC_EQUOTA = -7,
	PQC_ECONFIG = -8,
	PQC_ENOMEM = -9,
	PQC_EIO = -10,
	PQC_ECRYPTO = -11,
	PQC_EPROTO = -12,
	PQC_ENOKEY = -13,
	PQC_EPASSPHRASE = -14,
	PQC_ECHANGED = -15,
	PQC_EEXIST = -16,
	PQC_EUNKNOWN_SERVER = -17,
	PQC_EIDENTITY_CHANGED = -18,
	PQC_ENAME = -19,
	PQC_ETOOBIG = -20,
	PQC_EAGAIN = -21,
	PQC_ECLOSED = -22,
	PQC_ETIMEOUT = -23,
	PQC_EINTERRUPTED = -24 /* cancelled, or a callback said so */
};

#define PQC_MESSAGE_SIZE 512
struct pqc_error {
	int code; /* enum pqc_code */
	char message[PQC_MESSAGE_SIZE];
};

/* "integrity", "refused", ...: the name that programs print and servers log. Static; "failed" for a code that is none. */
PQC_API const char *pqc_error_name(int code);
/*
 * For a name that a pqc program printed or a server logged: its code, what it means, in a
 * sentence, and the exit code it gives. 1, NULL and -1 for a name that is none. Static.
 */
PQC_API int pqc_error_code(const char *name);
PQC_API const char *pqc_error_meaning(const char *name);
PQC_API int pqc_error_exit_code(const char *name);

/* Bytes that the library allocated. pqc_buffer_free wipes them and sets both to zero. */
struct pqc_buffer {
	void *data;
	size_t size;
};
PQC_API void pqc_buffer_free(struct pqc_buffer *b);

/* ---- where bytes come from and go to ---- */

enum pqc_io {
	PQC_IO_PATH = 1, /* a file */
	PQC_IO_FD,	 /* a descriptor of the caller's, which stays open */
	PQC_IO_MEMORY,	 /* the caller's memory, read or written in place */
	PQC_IO_CALLBACK	 /* a function of the caller's, called in order */
};

struct pqc_source {
	enum pqc_io kind;
	const char *path; /* PATH */
	int fd;		  /* FD: a regular file is read from its position on */
	const void *data; /* MEMORY: nobody may change it meanwhile */
	uint64_t size;	  /* MEMORY: bytes. CALLBACK: bytes that will come, or PQC_SIZE_UNKNOWN */
	/* CALLBACK: up to n bytes into p. How many; 0 at the end; negative: a code, which ends the call. */
	int64_t (*read)(void *arg, void *p, size_t n);
	void *arg;
};

struct pqc_sink {
	enum pqc_io kind;
	const char *path; /* PATH: the file appears under its name when it is whole and durable */
	int replace;	  /* PATH: not 0: replace what is there; else that is PQC_EEXIST */
	int fd;		  /* FD: a regular file is written from its position on */
	void *data;	  /* MEMORY */
	uint64_t
		size; /* MEMORY: room in bytes; too little is PQC_ETOOBIG, and the result's size says how much */
	/* CALLBACK: take all n bytes. 0, or a negative code, which ends the call. */
	int (*write)(void *arg, const void *p, size_t n);
	void *arg;
};

/* ---- watching and ending a call ---- */

/*
 * A flag that ends the calls it was given to, within a fraction of a second, and all later ones. (A
 * look-up of a host's name, and opening a pipe that nobody else has open, go their own time.)
 * pqc_cancel_set is async-signal-safe and may come from any thread; pqc_cancel_free after the calls.
 */
struct pqc_cancel;
PQC_API int pqc_cancel_new(struct pqc_cancel **out, struct pqc_error *e);
PQC_API void pqc_cancel_set(struct pqc_cancel *c);
PQC_API void pqc_cancel_free(struct pqc_cancel *c);

struct pqc_progress {
	uint64_t done, total; /* plaintext bytes; total PQC_SIZE_UNKNOWN while nobody knows */
	uint64_t resumed;     /* of done, bytes that an earlier call had moved */
	int committing;	      /* all is there; waiting for the receipt */
	int queued;	      /* the request waits in the server's queue: */
	uint32_t position;    /* 1 is next, 0 not told */
	uint64_t estimate_ms; /* how much longer, PQC_SIZE_UNKNOWN not told */
};

/*
 * progress and notice come from the calling thread or one of the call's own, never two at a time. A
 * source's read, a sink's write and these may run at the same time as one another, each only once.
 */
struct pqc_control {
	size_t struct_size;
	/*
	 * At most ten times a second and, after success, with the last figures: done is total. Not 0: end
	 * the call with PQC_EINTERRUPTED, resumably, also where the last byte is there but the file has not
	 * its name yet. After success it changes nothing any more: the call's result tells what holds. Of a
	 * send that was ended while committing, the server may have the object.
	 */
	int (*progress)(void *arg, const struct pqc_progress *p);
	/* Something worth telling: event is "reconnect", "resume", "replaced", ... */
	void (*notice)(void *arg, const char *event, const char *text);
	void *arg;
	const struct pqc_cancel *cancel;
};

/* ---- keys (docs/keys.md) ---- */

/* Suites: "Kyber768" (ML-KEM-768 with X25519, ML-DSA-65 with Ed25519) and "Kyber1024"; aliases "ML-KEM-768", "ML-KEM-1024". */

struct pqc_identity; /* private: who we are */
struct pqc_public;   /* public: whom we know */

/* suite NULL: Kyber768. */
PQC_API int pqc_identity_generate(const char *suite, struct pqc_identity **out,
				  struct pqc_error *e);
/* passphrase NULL: for a file that has none. PQC_EPASSPHRASE: wrong, or needed. PQC_EREFUSED: others could read the file. */
PQC_API int pqc_identity_load(const char *path, const char *passphrase, struct pqc_identity **out,
			      struct pqc_error *e);
PQC_API int pqc_identity_parse(const void *text, size_t size, const char *passphrase,
			       struct pqc_identity **out, struct pqc_error *e);
/* The text of a private key file; passphrase NULL: not encrypted. */
PQC_API int pqc_identity_format(const struct pqc_identity *id, const char *passphrase,
				struct pqc_buffer *out, struct pqc_error *e);
/* Create path (0600) and path.pub (0644). PQC_EEXIST rather than overwrite. */
PQC_API int pqc_identity_save(const struct pqc_identity *id, const char *path,
			      const char *passphrase, const char *comment, struct pqc_error *e);
/* Its public half: a new object of the caller's. */
PQC_API int pqc_identity_public(const struct pqc_identity *id, const char *comment,
				struct pqc_public **out, struct pqc_error *e);
PQC_API void pqc_identity_free(struct pqc_identity *id);

PQC_API int pqc_public_load(const char *path, struct pqc_public **out, struct pqc_error *e);
PQC_API int pqc_public_parse(const char *line, size_t size, struct pqc_public **out,
			     struct pqc_error *e);
/* The line of a .pub file, without newline, zero-terminated, as long as the object lives. */
PQC_API const char *pqc_public_text(const struct pqc_public *p);
PQC_API const uint8_t *pqc_public_id(const struct pqc_public *p); /* PQC_ID_SIZE bytes, borrowed */
PQC_API const char *pqc_public_suite(const struct pqc_public *p); /* "Kyber768". Static. */
PQC_API void pqc_public_free(struct pqc_public *p);

/*
 * Key-encryption key: a server's, or your own. In its file, mode 0600, are comments that begin
 * with '#' and one line "pqc-kek-v1 ID VERSION KEY": 32 hex digits, a number, 64 hex digits.
 */
struct pqc_kek {
	uint8_t id[16];
	uint32_t version;
	uint8_t key[PQC_KEY_SIZE];
};
PQC_API int pqc_kek_load(const char *path, struct pqc_kek *out, struct pqc_error *e);

/*
 * The recipients' hybrid KEM by itself: X-Wing (suite Kyber768; NULL means it) or ML-KEM-1024 with
 * P-384, whose secret is derived as docs/library.md says. public_key, private_key, ciphertext: bytes
 * of the library's. A private key is text, the last two blocks of a private key file. shared_secret:
 * PQC_KEY_SIZE bytes, the caller's to wipe. PQC_EINTEGRITY: bytes that are no key or ciphertext of the
 * suite. A ciphertext that is merely not for this key gives a secret that nobody else has, and no error.
 */
PQC_API int pqc_kem_generate(const char *suite, struct pqc_buffer *public_key,
			     struct pqc_buffer *private_key, struct pqc_error *e);
PQC_API int pqc_kem_encapsulate(const char *suite, const void *public_key, size_t size,
				struct pqc_buffer *ciphertext, uint8_t shared_secret[PQC_KEY_SIZE],
				struct pqc_error *e);
PQC_API int pqc_kem_decapsulate(const char *suite, const void *private_key, size_t private_size,
				const void *ciphertext, size_t size,
				uint8_t shared_secret[PQC_KEY_SIZE], struct pqc_error *e);

/* ---- sealing and opening (docs/container.md) ---- */

struct pqc_seal_options {
	size_t struct_size;
	const char *suite; /* NULL: the signer's, else Kyber768 */
	/* For whom: at least one kind; a passphrase stands alone. */
	const struct pqc_public *const *recipients;
	size_t recipient_count;
	const char *passphrase;
	const uint8_t *raw_key; /* PQC_KEY_SIZE bytes */
	/* Bound to the raw key: who opens must give the same. Only with raw_key. */
	const void *associated_data;
	size_t associated_data_size;
	const struct pqc_kek *kek;
	const struct pqc_identity *sign; /* NULL: unsigned */
	uint32_t part_size;		 /* bytes, a power of two from 64 KiB to 32 MiB; 0: 4 MiB */
	unsigned threads;		 /* 0: one for each core, at most 4 */
	uint8_t *
		sha256; /* PQC_SHA256_SIZE bytes: gets the plaintext's SHA-256 (FIPS 180-4); NULL: saves the work */
};

struct pqc_seal_result {
	uint8_t file_id[PQC_FILE_ID_SIZE];
	uint64_t size;	      /* plaintext bytes */
	uint64_t sealed_size; /* bytes of the container */
	uint64_t parts;
};

/*
 * c, r and e may be NULL. Memory: 2 * part_size a thread and little more, whatever the length.
 * With PQC_ETOOBIG r->sealed_size says how much room it takes, where that is known.
 */
PQC_API int pqc_seal(const struct pqc_source *from, const struct pqc_sink *to,
		     const struct pqc_seal_options *o, const struct pqc_control *c,
		     struct pqc_seal_result *r, struct pqc_error *e);

/* Bytes of the container of `size` plaintext bytes; suite NULL: Kyber768; part_size 0: the default. PQC_SIZE_UNKNOWN for arguments that no container can have. */
PQC_API uint64_t pqc_sealed_size(const char *suite, uint64_t size, uint32_t part_size,
				 int is_signed);

struct pqc_open_options {
	size_t struct_size;
	/* What may open it: those given are tried. */
	const struct pqc_identity *identity;
	const char *passphrase;
	const uint8_t *raw_key;
	const void *associated_data; /* as it was sealed with */
	size_t associated_data_size;
	const struct pqc_kek *kek;
	const uint8_t *expected_sender; /* PQC_ID_SIZE bytes; NULL: anybody or nobody */
	unsigned threads;
	uint8_t *sha256;
};

struct pqc_open_result {
	uint8_t file_id[PQC_FILE_ID_SIZE];
	uint8_t sender_id[PQC_ID_SIZE]; /* zero when nobody signed */
	int is_signed;
	uint64_t size, parts;
	uint64_t time; /* seconds since 1970, when it was sealed */
	char suite[16];
};

/*
 * A stream (FD of a pipe, CALLBACK) gets plaintext before the whole was checked: a true
 * beginning of what was sealed, always. Only PQC_OK says that it is all of it, and where the
 * source is a stream too, that the signature is good: do not act on it before.
 */
PQC_API int pqc_open(const struct pqc_source *from, const struct pqc_sink *to,
		     const struct pqc_open_options *o, const struct pqc_control *c,
		     struct pqc_open_result *r, struct pqc_error *e);

struct pqc_rewrap_options {
	size_t struct_size;
	const struct pqc_open_options *keys;  /* what opens it now */
	const uint8_t (*remove)[PQC_ID_SIZE]; /* recipients; PQC_ENOTFOUND when one is not there */
	size_t remove_count;
	int remove_all;
	/* Of it, for whom: recipients, passphrase, raw_key with associated_data, kek. NULL: nobody. */
	const struct pqc_seal_options *add;
};
/*
 * Change who can open the container at path, without touching its body; what an interrupted call
 * left is finished first. After an error or a crash at any moment it opens for those of before or for those of after.
 * Who was removed may have kept the key from before: for what he must not read in future, seal anew.
 */
PQC_API int pqc_rewrap(const char *path, const struct pqc_rewrap_options *o, struct pqc_error *e);

/*
 * What can be known of a container without a key, as one JSON object (that of `pqc inspect --json`).
 * A damaged end is no error: "manifest" then is "damaged". PQC_EINTEGRITY: no container.
 */
PQC_API int pqc_inspect(const char *path, struct pqc_buffer *json, struct pqc_error *e);

/* ---- client (docs/protocol.md) ---- */

struct pqc_client; /* how to reach servers, and as whom */

struct pqc_client_options {
	size_t struct_size;
	const struct pqc_identity *identity; /* copied. NULL: for pqc_ping only */
	const char *known_servers;	     /* path; NULL: pqc_home_path("known_servers") */
	const char *state_dir; /* path, for what resuming needs; NULL: pqc_home_path("state") */
	const uint8_t *
		server_id; /* PQC_ID_SIZE bytes: the server must be this one, pinned or not; NULL: as pinned */
	int accept_new;	     /* pin a server that is not pinned yet */
	const char *ca_file; /* for pqcs:// and wss://; NULL: the system's */
	unsigned threads; /* that seal or open; 0: as many as help, at most 2 to send, 4 to get */
	unsigned connect_ms, idle_ms; /* 0: 10 s, 1 min */
	int64_t retry_ms; /* give up after this long without progress; 0: 10 min; -1: one attempt */
	const char
		*trace_parent; /* W3C traceparent of the span the calls are part of; NULL: none */
};
PQC_API int pqc_client_new(const struct pqc_client_options *o, struct pqc_client **out,
			   struct pqc_error *e);
PQC_API void pqc_client_free(struct pqc_client *c);

/* What came of a transfer; also of one that failed, as far as it came. Always to be freed. */
struct pqc_transfer {
	uint8_t server_id[PQC_ID_SIZE], sender_id[PQC_ID_SIZE], file_id[PQC_FILE_ID_SIZE];
	uint64_t size;
	uint64_t parts, parts_moved; /* moved in this call, repeats counted */
	uint64_t resumed_bytes;
	uint32_t reconnects;
	double seconds, queue_seconds;
	char trace_id[33];	   /* hex; servers log it */
	struct pqc_buffer receipt; /* send: PEM receipt bundle; free it with pqc_transfer_free */
};
PQC_API void pqc_transfer_free(struct pqc_transfer *t);

struct pqc_send_options {
	size_t struct_size;
	uint32_t part_size; /* 0: 1 MiB */
	/*
	 * MEMORY: a later call with the same bytes, to the same URL, goes on where this one was interrupted.
	 * It costs a BLAKE3 pass over the bytes before the first is sent. Files are always resumable, streams never.
	 */
	int resume_memory;
};
/* o, c, t may be NULL. url: pqc://HOST[:PORT]/NAME, pqcs://, ws://, wss://. */
PQC_API int pqc_send(const struct pqc_client *k, const char *url, const struct pqc_source *from,
		     const struct pqc_send_options *o, const struct pqc_control *c,
		     struct pqc_transfer *t, struct pqc_error *e);

struct pqc_get_options {
	size_t struct_size;
	const uint8_t *from; /* PQC_ID_SIZE bytes: only if this identity sent it; NULL: anybody */
};
/* A PATH sink is resumable. CALLBACK and pipes: what pqc_open says of streams. */
PQC_API int pqc_get(const struct pqc_client *k, const char *url, const struct pqc_sink *to,
		    const struct pqc_get_options *o, const struct pqc_control *c,
		    struct pqc_transfer *t, struct pqc_error *e);

struct pqc_entry {
	const char *name;     /* borrowed during the callback */
	uint64_t size, time;  /* bytes; seconds since 1970 */
	const uint8_t *owner; /* PQC_ID_SIZE bytes, borrowed */
};
/* Names that begin with the URL's. each: not 0 ends the list with that code. */
PQC_API int pqc_list(const struct pqc_client *k, const char *url,
		     int (*each)(void *arg, const struct pqc_entry *en), void *arg,
		     const struct pqc_control *c, struct pqc_error *e);
PQC_API int pqc_delete(const struct pqc_client *k, const char *url, const struct pqc_control *c,
		       struct pqc_error *e);
/* The receipt of an object that this identity sent: PEM, verified. */
PQC_API int pqc_receipt(const struct pqc_client *k, const char *url, struct pqc_buffer *pem,
			const struct pqc_control *c, struct pqc_error *e);

/* What a receipt proves: that server has signed to hold what sender sent. */
struct pqc_receipt_info {
	uint8_t server_id[PQC_ID_SIZE], sender_id[PQC_ID_SIZE], file_id[PQC_FILE_ID_SIZE];
	uint64_t size; /* plaintext bytes */
	uint64_t time; /* seconds since 1970, the server's */
	uint64_t log_index;
};
/* Every signature in it, offline; which server was expected is for the caller to compare. PQC_EINTEGRITY. */
PQC_API int pqc_receipt_verify(const void *pem, size_t size, struct pqc_receipt_info *out,
			       struct pqc_error *e);

struct pqc_ping_result {
	uint8_t server_id[PQC_ID_SIZE];
	char suite[16];
	int pinned;
	char tls_group[64]; /* empty: plain */
	double seconds;
};
/*
 * Connect and check the server's signed bundle; needs no right there. PQC_EUNKNOWN_SERVER, and r is
 * filled in all the same: it is not pinned. r may be NULL.
 */
PQC_API int pqc_ping(const struct pqc_client *k, const char *url, struct pqc_ping_result *r,
		     const struct pqc_control *c, struct pqc_error *e);

/* Pinned servers: path NULL: the default. host_port: "example.org:8765". PQC_EEXIST: it is pinned to another. */
PQC_API int pqc_known_add(const char *path, const char *host_port,
			  const uint8_t server_id[PQC_ID_SIZE], struct pqc_error *e);
PQC_API int pqc_known_remove(const char *path, const char *host_port, struct pqc_error *e);

/*
 * Where a program of this user keeps something: leaf in $PQC_HOME, $PQC_KEY_STORE_PATH,
 * $XDG_CONFIG_HOME/pqc or ~/.config/pqc, the first that is set; leaf "": that directory.
 */
PQC_API int pqc_home_path(const char *leaf, struct pqc_buffer *path, struct pqc_error *e);

/* ---- server ---- */

struct pqc_server;

struct pqc_server_options {
	size_t struct_size;
	/*
	 * "NAME=VALUE", the options of `pqc serve` by name with their units and defaults
	 * (docs/cli.md): "listen=127.0.0.1:0", "data-dir=/srv/pqc", "max-transfers=10". One that may be
	 * given several times may stand here several times. Environment and configuration file are not read.
	 */
	const char *const *settings;
	size_t setting_count;
	const char *passphrase; /* of the identity's file; NULL: it has none */
	/*
	 * Each log line (docs/observability.md): a JSON object without newline, from any of the server's
	 * threads, two at a time too. "transfer" lines tell what came in. NULL: none. Must not call back into the library.
	 */
	void (*log)(void *arg, const char *line, size_t size);
	void *arg;
};
/* Makes identity and key-encryption key at the first start, and listens. */
PQC_API int pqc_server_new(const struct pqc_server_options *o, struct pqc_server **out,
			   struct pqc_error *e);
/* "127.0.0.1:8765" of listener i, NULL past the last one; borrowed. */
PQC_API const char *pqc_server_address(const struct pqc_server *s, size_t i);
/* Its public identity; borrowed. */
PQC_API const struct pqc_public *pqc_server_public(const struct pqc_server *s);
/* Serve until pqc_server_stop. PQC_ETEMP: the drain timeout ended transfers. Once only. */
PQC_API int pqc_server_run(struct pqc_server *s, struct pqc_error *e);
/* Drain and end; a second call ends at once. Any thread, async-signal-safe. */
PQC_API void pqc_server_stop(struct pqc_server *s);
/* Read the access file and the certificate again. Any thread, async-signal-safe. */
PQC_API void pqc_server_reload(struct pqc_server *s);
PQC_API void pqc_server_free(struct pqc_server *s);

/*
 * Who may do what on a server: lines of its access file (docs/cli.md, `pqc trust allow`). rights:
 * "put,get" and the like, NULL: the program's default; pattern NULL: every name. A running server takes it with pqc_server_reload.
 */
PQC_API int pqc_access_allow(const char *path, const struct pqc_public *who, const char *rights,
			     const char *pattern, struct pqc_error *e);
PQC_API int pqc_access_deny(const char *path, const uint8_t id[PQC_ID_SIZE], struct pqc_error *e);

#ifdef __cplusplus
}
#endif

#endif
