/* log.h: lines are JSON whatever is in them, never longer than 4096 bytes, one write each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

#define MOST 4096

/* A logger that writes to a pipe, so that each read gives what one write gave. */
struct fixture {
	struct logger *l;
	int p[2];
	char line[MOST + 1];
	size_t len;
};

static int setup(void **state, enum log_format format)
{
	struct fixture *f = calloc(1, sizeof(*f));

	/* O_DIRECT: packets, not a stream */
	if (!f || pipe2(f->p, O_DIRECT | O_NONBLOCK) != 0 || log_new(&f->l, f->p[1], format) != 0)
		return -1;
	*state = f;
	return 0;
}

static int setup_json(void **state)
{
	return setup(state, LOG_JSON);
}

static int setup_plain(void **state)
{
	return setup(state, LOG_TEXT);
}

static int setup_journal(void **state)
{
	return setup(state, LOG_JOURNAL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_free(f->l);
	close(f->p[0]);
	close(f->p[1]);
	free(f);
	return 0;
}

/* The one line written; it must be one. */
static const char *line_of(struct fixture *f)
{
	char more[1];
	ssize_t n = read(f->p[0], f->line, MOST);

	assert_true(n > 0);
	f->len = (size_t)n;
	f->line[n] = '\0';
	assert_int_equal(f->line[n - 1], '\n');
	assert_ptr_equal(memchr(f->line, '\n', f->len), f->line + n - 1);
	assert_int_equal(read(f->p[0], more, 1), -1);
	return f->line;
}

static json_t *json_of(struct fixture *f)
{
	json_error_t error;
	json_t *o = json_loads(line_of(f), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (!o)
		fail_msg("%s: %s", error.text, f->line);
	return o;
}

static const char *string_of(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	assert_non_null(s);
	return s;
}

static void every_type_of_field(void **state)
{
	struct fixture *f = *state;
	uint8_t id[32];
	json_t *o;

	memset(id, 0xA5, sizeof(id));
	log_event(f->l, LOG_WARN, "transfer.done",
		  (struct log_field[]){log_str("name", "a \"b\""),
				       log_u64("bytes", 1ull << 62),
				       log_f64("rate", 0.25),
				       log_bool("resumed", true),
				       log_bool("new", false),
				       log_id("file", id),
				       {0}});
	o = json_of(f);
	assert_string_equal(string_of(o, "level"), "warn");
	assert_string_equal(string_of(o, "event"), "transfer.done");
	assert_string_equal(string_of(o, "name"), "a \"b\"");
	assert_true(json_integer_value(json_object_get(o, "bytes")) == 1ll << 62);
	assert_true(json_real_value(json_object_get(o, "rate")) == 0.25);
	assert_true(json_is_true(json_object_get(o, "resumed")));
	assert_true(json_is_false(json_object_get(o, "new")));
	assert_int_equal(strlen(string_of(o, "file")), 64);
	assert_memory_equal(string_of(o, "file"), "a5a5", 4);
	assert_int_equal(json_object_size(o), 9);
	json_decref(o);
}

static void the_time_is_rfc_3339(void **state)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	struct fixture *f = *state;
	const char *time;
	json_t *o;

	log_event(f->l, LOG_INFO, "x", NULL);
	o = json_of(f);
	time = string_of(o, "time");
	assert_int_equal(strlen(time), strlen(shape));
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == 'd')
			assert_in_range(time[i], '0', '9');
		else
			assert_int_equal(time[i], shape[i]);
	json_decref(o);
}

static void hostile_strings_stay_inside_theirs(void **state)
{
	struct fixture *f = *state;
	char all[256];
	json_t *o;

	for (int i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	log_event(f->l, LOG_INFO, "x",
		  (struct log_field[]){log_str("all", all),
				       log_str("inject", "\",\"level\":\"error\"}\n{\"a\":\""),
				       log_str("escape", "\033[2J\xC2\x9B\xE2\x80\xAE"),
				       log_str("null", NULL),
				       log_id("noid", NULL),
				       log_f64("nan", (double)NAN),
				       log_f64("inf", (double)INFINITY),
				       {0}});
	o = json_of(f);
	for (size_t i = 0; i + 1 < f->len; i++)
		assert_in_range((uint8_t)f->line[i], 0x20, 0x7E);
	assert_string_equal(string_of(o, "level"), "info");
	assert_string_equal(string_of(o, "inject"), "\",\"level\":\"error\"}\n{\"a\":\"");
	assert_memory_equal(string_of(o, "all"), all, 127);
	assert_true(json_is_null(json_object_get(o, "null")));
	assert_true(json_is_null(json_object_get(o, "noid")));
	assert_true(json_is_null(json_object_get(o, "nan")));
	assert_true(json_is_null(json_object_get(o, "inf")));
	json_decref(o);
}

static void long_strings_are_cut_to_a_whole_line(void **state)
{
	static const char *const fill[] = {"a", "\x01", "\xC3\xA9", "\"", "\xF0\x9F\x98\x80"};
	struct fixture *f = *state;
	char *s = malloc(8192);

	assert_non_null(s);
	for (size_t i = 0; i < sizeof(fill) / sizeof(fill[0]); i++) {
		size_t w = strlen(fill[i]), step;

		/* every length around the limit, some of the others */
		for (size_t n = 500 * w; n < 8192; n += step) {
			json_t *o;

			step = n > 3500 && n < 4200 ? w : 100 * w;
			for (size_t j = 0; j < n; j++)
				s[j] = fill[i][j % w];
			s[n] = '\0';
			log_event(f->l, LOG_ERROR, "long",
				  (struct log_field[]){log_str("s", s), log_u64("after", n), {0}});
			o = json_of(f);
			assert_true(f->len <= MOST);
			bool whole = json_string_length(json_object_get(o, "s")) == n &&
				     json_object_get(o, "after");

			assert_int_equal(json_is_true(json_object_get(o, "cut")), !whole);
			if (i == 0 && (n < 3900 || n > 4000))
				assert_int_equal(whole, n < 3900);
			json_decref(o);
		}
	}
	free(s);
}

static void many_fields_stop_at_the_limit(void **state)
{
	struct fixture *f = *state;
	struct log_field fields[300] = {0};
	static char keys[299][16];
	json_t *o;

	for (int i = 0; i < 299; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key%03d", i);
		fields[i] = log_u64(keys[i], UINT32_MAX);
	}
	log_event(f->l, LOG_INFO, "many", fields);
	o = json_of(f);
	assert_true(f->len <= MOST && f->len > MOST - 60);
	assert_true(json_is_true(json_object_get(o, "cut")));
	json_decref(o);
}

static void an_event_too_long_is_no_line(void **state)
{
	struct fixture *f = *state;
	char event[5000];

	memset(event, 'e', sizeof(event) - 1);
	event[sizeof(event) - 1] = '\0';
	log_event(f->l, LOG_INFO, event, (struct log_field[]){log_u64("n", 1), {0}});
	assert_int_equal(read(f->p[0], event, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void levels_below_the_least_are_silent(void **state)
{
	struct fixture *f = *state;
	enum log_level level = LOG_ERROR;
	char c;

	log_event(f->l, LOG_DEBUG, "x", NULL);
	assert_int_equal(read(f->p[0], &c, 1), -1);
	log_set_level(f->l, LOG_ERROR);
	log_event(f->l, LOG_WARN, "x", NULL);
	assert_int_equal(read(f->p[0], &c, 1), -1);
	log_event(f->l, LOG_ERROR, "x", NULL);
	line_of(f);
	log_set_level(f->l, LOG_DEBUG);
	log_event(f->l, LOG_DEBUG, "x", NULL);
	line_of(f);

	assert_int_equal(log_level_parse("warn", &level), 0);
	assert_int_equal(level, LOG_WARN);
	assert_int_equal(log_level_parse("WARN", &level), PQC_EUSAGE);
	assert_int_equal(log_level_parse("", &level), PQC_EUSAGE);
	assert_int_equal(log_level_parse("warning", &level), PQC_EUSAGE);
	assert_int_equal(level, LOG_WARN);
}

static void no_logger_and_no_reader_do_no_harm(void **state)
{
	struct fixture *f = *state;
	struct logger *full;
	int fd = open("/dev/full", O_WRONLY);

	log_event(NULL, LOG_ERROR, "x", NULL);
	log_set_level(NULL, LOG_ERROR);
	log_free(NULL);
	assert_true(fd >= 0);
	assert_int_equal(log_new(&full, fd, LOG_JSON), 0);
	errno = ENOTTY;
	log_event(full, LOG_ERROR, "x", NULL);
	log_event(f->l, LOG_ERROR, "x", NULL);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(log_dropped(full), 1);
	assert_int_equal(log_dropped(NULL), 0);
	log_set_names(NULL, true);
	log_free(full);
	assert_true(fcntl(fd, F_GETFD) >= 0); /* still ours */
	close(fd);
}

static void plain_lines_are_safe_on_a_terminal(void **state)
{
	struct fixture *f = *state;
	const char *line;

	log_event(f->l, LOG_WARN, "peer.bad",
		  (struct log_field[]){log_str("name", "a\033[2J\nb"),
				       log_u64("n", 7),
				       log_bool("ok", true),
				       {0}});
	line = line_of(f);
	assert_non_null(strstr(line, "Z warn  peer.bad name=\"a\\u001b[2J\\nb\" n=7 ok=true\n"));
	assert_null(strchr(line, '\033'));
}

/* ---- what others call things cannot make a line or a field ---- */

/* Each tries to end its string, its field or its line, or to steer the terminal. */
static const char *const hostile[] = {
	"a\nb",
	"}\n{\"level\":\"error\",\"event\":\"forged\"}\n",
	"\"}\n{\"level\":\"error\",\"event\":\"forged",
	"\",\"forged\":\"1",
	"\" forged=\"1",
	" forged=1",
	"\\",
	"\\\"",
	"\\\" forged=1 \\\\\"",
	"\n<3>{\"forged\":1}",
	"\r\n<0>forged",
	"\033[2J\033]0;forged\007",
	"\xC2\x9B;2J",
	"\xE2\x80\xA8{\"forged\":1}\xE2\x80\xA9", /* U+2028, U+2029 */
	"\xC2\x85 forged",			  /* U+0085, next line */
	"\xE2\x80\xAE",				  /* right-to-left override */
	"\xFF\xFE\n",
	"\xC3",		    /* cut off */
	"\xC0\x8A",	    /* overlong newline */
	"\xED\xA0\x8A",	    /* surrogate */
	"\xF4\x90\x80\x80", /* beyond Unicode */
	"\xE2\x80\x22\n",
	"",
};

/* The line behind its priority, if there is one: what journald takes off. */
static const char *behind_priority(const struct fixture *f)
{
	return f->line[0] == '<' && f->line[2] == '>' ? f->line + 3 : f->line;
}

static void check_json(const struct fixture *f, size_t fields)
{
	json_error_t error;
	json_t *o = json_loads(behind_priority(f), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (!o)
		fail_msg("%s: %s", error.text, f->line);
	assert_string_equal(string_of(o, "level"), "info");
	assert_string_equal(string_of(o, "event"), "x");
	assert_int_equal(json_integer_value(json_object_get(o, "after")), 7);
	assert_null(json_object_get(o, "forged"));
	assert_int_equal(json_object_size(o), fields);
	json_decref(o);
}

/* Blanks, and equals signs, stand between fields only outside of quotes. */
static void check_plain(const struct fixture *f, size_t fields)
{
	bool quoted = false;
	size_t signs = 0;

	for (const char *s = f->line; *s != '\n'; s++) {
		if (quoted && *s == '\\')
			s++;
		else if (*s == '"')
			quoted = !quoted;
		else
			signs += !quoted && *s == '=';
	}
	assert_false(quoted);
	assert_int_equal(signs, fields - 3); /* time, level and event have none */
	assert_non_null(strstr(f->line, " info  x s="));
	assert_non_null(strstr(f->line, " after=7"));
}

static void check_hostile(struct fixture *f, const char *s)
{
	uint32_t bad = 0;

	log_event(f->l, LOG_INFO, "x",
		  (struct log_field[]){
			  log_str("s", s), log_name("name", s), log_u64("after", 7), {0}});
	line_of(f);
	for (size_t i = 0; i + 1 < f->len; i++)
		bad += (uint8_t)f->line[i] < 0x20 || f->line[i] == 0x7F;
	assert_int_equal(bad, 0);
	if (f->line[0] == '{' || f->line[0] == '<')
		check_json(f, 6);
	else
		check_plain(f, 6);
}

static void hostile_strings_make_no_line_and_no_field(void **state)
{
	struct fixture *f = *state;

	log_set_names(f->l, true);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
		check_hostile(f, hostile[i]);
}

/* 64 KiB and more of them, so that the cut falls anywhere. */
static void long_hostile_strings_too(void **state)
{
	const size_t most = 70000;
	struct fixture *f = *state;
	char *s = malloc(most + 64);

	assert_non_null(s);
	log_set_names(f->l, true);
	for (size_t i = 0; i + 1 < sizeof(hostile) / sizeof(hostile[0]); i++) {
		size_t w = strlen(hostile[i]);

		for (size_t lead = 0; lead < 4; lead++) {
			size_t n = lead;

			memset(s, 'a', lead);
			for (; n < most; n += w)
				memcpy(s + n, hostile[i], w);
			s[n] = '\0';
			log_event(f->l, LOG_INFO, "x",
				  (struct log_field[]){log_u64("after", 7), log_str("s", s), {0}});
			line_of(f);
			assert_true(f->len <= MOST);
			if (f->line[0] == '{' || f->line[0] == '<')
				check_json(f, 6); /* with "cut" */
			else
				assert_non_null(strstr(f->line, " cut=true\n"));
		}
	}
	free(s);
}

static void names_are_left_out_unless_they_are_wanted(void **state)
{
	const struct log_field fields[] = {
		log_name("name", "secret-study"), log_str("peer", "p"), {0}};
	struct fixture *f = *state;

	log_event(f->l, LOG_INFO, "x", fields);
	line_of(f);
	assert_null(strstr(f->line, "name"));
	assert_null(strstr(f->line, "secret-study"));
	assert_non_null(strstr(f->line, "peer"));
	assert_null(strstr(f->line, "cut"));
	log_set_names(f->l, true);
	log_event(f->l, LOG_INFO, "x", fields);
	assert_non_null(strstr(line_of(f), "secret-study"));
	log_set_names(f->l, false);
	log_event(f->l, LOG_INFO, "x", fields);
	assert_null(strstr(line_of(f), "secret-study"));
}

/* ---- forms ---- */

static void the_journal_reads_the_level_in_front(void **state)
{
	static const struct {
		enum log_level level;
		const char *start;
	} cases[] = {{LOG_ERROR, "<3>{\"time\":"},
		     {LOG_WARN, "<4>{\"time\":"},
		     {LOG_INFO, "<6>{\"time\":"},
		     {LOG_DEBUG, "<7>{\"time\":"}};
	struct fixture *f = *state;

	log_set_level(f->l, LOG_DEBUG);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		log_event(f->l, cases[i].level, "x", NULL);
		assert_memory_equal(line_of(f), cases[i].start, strlen(cases[i].start));
		json_t *o = json_loads(f->line + 3, JSON_REJECT_DUPLICATES, NULL);

		assert_int_equal(json_object_size(o), 3);
		json_decref(o);
	}
}

static void the_form_suits_the_reader(void **state)
{
	struct fixture *f = *state;
	enum log_format format = LOG_JSON;
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(f->p[1], &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(log_format_for(f->p[1], stream), LOG_JOURNAL);
	assert_int_equal(log_format_for(f->p[1], NULL), LOG_JSON);
	assert_int_equal(log_format_for(STDERR_FILENO, stream) == LOG_JOURNAL, false);
	assert_int_equal(log_format_for(-1, stream), LOG_JSON);
	stream[strlen(stream) - 1] ^= 1; /* another inode */
	assert_int_equal(log_format_for(f->p[1], stream), LOG_JSON);
	assert_int_equal(log_format_for(f->p[1], ""), LOG_JSON);
	assert_int_equal(log_format_for(f->p[1], ":"), LOG_JSON);

	assert_int_equal(log_format_parse("journal", &format), 0);
	assert_int_equal(format, LOG_JOURNAL);
	assert_int_equal(log_format_parse("text", &format), 0);
	assert_int_equal(format, LOG_TEXT);
	assert_int_equal(log_format_parse("JSON", &format), PQC_EUSAGE);
	assert_int_equal(log_format_parse("", &format), PQC_EUSAGE);
	assert_int_equal(format, LOG_TEXT);
}

struct writer {
	struct logger *l;
	uint64_t number;
};

#define LINES 200

static void *write_lines(void *arg)
{
	struct writer *w = arg;

	for (uint64_t i = 0; i < LINES; i++)
		log_event(w->l, LOG_INFO, "thread",
			  (struct log_field[]){
				  log_u64("thread", w->number), log_u64("line", i), {0}});
	return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
	enum { THREADS = 4 };
	struct writer w[THREADS];
	pthread_t t[THREADS];
	unsigned seen[THREADS] = {0};
	struct logger *l;
	FILE *file = tmpfile();
	char line[256];

	(void)state;
	assert_non_null(file);
	assert_int_equal(log_new(&l, fileno(file), LOG_JSON), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct writer){l, i};
		assert_int_equal(pthread_create(&t[i], NULL, write_lines, &w[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	log_free(l);
	rewind(file);
	while (fgets(line, sizeof(line), file)) {
		json_t *o = json_loads(line, 0, NULL);

		assert_non_null(o);
		json_int_t thread = json_integer_value(json_object_get(o, "thread"));

		assert_in_range(thread, 0, THREADS - 1);
		assert_int_equal(json_integer_value(json_object_get(o, "line")), seen[thread]);
		seen[thread]++;
		json_decref(o);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(seen[i], LINES);
	fclose(file);
}

#define JSON(f) cmocka_unit_test_setup_teardown(f, setup_json, teardown)
/* ---- to a function ---- */

struct taken {
	char line[MOST + 1];
	size_t size, calls;
};

static void take(void *arg, const char *line, size_t size)
{
	struct taken *t = arg;

	assert_true(size <= MOST);
	assert_int_equal(line[size], '\0');
	memcpy(t->line, line, size + 1);
	t->size = size;
	t->calls++;
}

static void a_function_gets_lines_without_their_end(void **state)
{
	struct taken t = {.calls = 0};
	struct logger *l;
	char *huge = malloc(20000);
	json_t *o;

	(void)state;
	assert_int_equal(log_new_to(&l, take, &t), 0);
	log_event(l, LOG_DEBUG, "silent", NULL);
	assert_int_equal(t.calls, 0);
	log_event(l, LOG_ERROR, "two\nlines", (struct log_field[]){log_str("s", "a\nb"), {0}});
	assert_int_equal(t.calls, 1);
	assert_int_equal(strlen(t.line), t.size);
	assert_null(strchr(t.line, '\n'));
	o = json_loads(t.line, JSON_REJECT_DUPLICATES, NULL);
	assert_string_equal(json_string_value(json_object_get(o, "event")), "two\nlines");
	assert_string_equal(json_string_value(json_object_get(o, "s")), "a\nb");
	json_decref(o);
	assert_non_null(huge);
	memset(huge, 'x', 19999);
	huge[19999] = '\0';
	log_event(l, LOG_INFO, "long", (struct log_field[]){log_str("s", huge), {0}});
	assert_int_equal(t.calls, 2);
	assert_non_null(o = json_loads(t.line, JSON_REJECT_DUPLICATES, NULL));
	assert_true(json_is_true(json_object_get(o, "cut")));
	json_decref(o);
	/* What is too long at all is told with the next line. */
	log_event(l, LOG_INFO, huge, NULL);
	assert_int_equal(t.calls, 2);
	log_event(l, LOG_INFO, "next", NULL);
	assert_non_null(strstr(t.line, "\"dropped\":1"));
	assert_int_equal(log_dropped(l), 1);
	log_free(l);
	free(huge);
}

#define JOURNAL(f) cmocka_unit_test_setup_teardown(f, setup_journal, teardown)
#define PLAIN(f)   cmocka_unit_test_setup_teardown(f, setup_plain, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		JSON(every_type_of_field),
		JSON(the_time_is_rfc_3339),
		JSON(hostile_strings_stay_inside_theirs),
		JSON(long_strings_are_cut_to_a_whole_line),
		JSON(many_fields_stop_at_the_limit),
		JSON(an_event_too_long_is_no_line),
		JSON(levels_below_the_least_are_silent),
		JSON(no_logger_and_no_reader_do_no_harm),
		PLAIN(plain_lines_are_safe_on_a_terminal),
		JSON(hostile_strings_make_no_line_and_no_field),
		JOURNAL(hostile_strings_make_no_line_and_no_field),
		PLAIN(hostile_strings_make_no_line_and_no_field),
		JSON(long_hostile_strings_too),
		JOURNAL(long_hostile_strings_too),
		PLAIN(long_hostile_strings_too),
		JSON(names_are_left_out_unless_they_are_wanted),
		PLAIN(names_are_left_out_unless_they_are_wanted),
		JOURNAL(the_journal_reads_the_level_in_front),
		JSON(the_form_suits_the_reader),
		cmocka_unit_test(threads_do_not_mix_lines),
		cmocka_unit_test(a_function_gets_lines_without_their_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
