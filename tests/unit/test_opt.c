/* opt.h: every kind of value, every place it can come from, and who outweighs whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf.h"
#include "config/opt.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int check_color(const char *value, struct err *e)
{
	return strcmp(value, "blue") == 0 ? 0 : err_set(e, PQC_ECONFIG, "'%s' is not blue", value);
}

static const struct opt first[] = {
	{.name = "verbose", .letter = 'v', .kind = OPT_FLAG, .help = "Talk"},
	{.name = "out", .letter = 'o', .kind = OPT_FILE, .arg = "FILE", .help = "Where"},
	{.name = "count",
	 .kind = OPT_NUMBER,
	 .arg = "N",
	 .def = "3",
	 .min = 1,
	 .max = 64,
	 .flags = OPT_RELOAD,
	 .help = "How many"},
	{.name = "part-size",
	 .kind = OPT_SIZE,
	 .arg = "SIZE",
	 .def = "1M",
	 .min = 65536,
	 .max = 32 << 20,
	 .old_env = "OLD_CHUNK",
	 .help = "How large"},
	{0},
};
static const struct opt second[] = {
	{.name = "wait",
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .min = 1000,
	 .max = 60000,
	 .help = "How long"},
	{.name = "form",
	 .kind = OPT_CHOICE,
	 .arg = "json|text",
	 .choices = "json|text",
	 .help = "How"},
	{.name = "listen",
	 .letter = 'l',
	 .kind = OPT_TEXT,
	 .flags = OPT_LIST,
	 .arg = "ADDR",
	 .def = "a:1,b:2",
	 .help = "Whereto"},
	{.name = "color", .kind = OPT_TEXT, .arg = "COLOR", .check = check_color, .help = "Which"},
	{.name = "secret", .kind = OPT_FLAG, .flags = OPT_NO_ENV, .help = "Ask"},
	{.name = "config",
	 .kind = OPT_FILE,
	 .flags = OPT_COMMAND_LINE,
	 .arg = "FILE",
	 .help = "More"},
	{.name = "renamed", .kind = OPT_TEXT, .arg = "X", .env = "PQC_OTHER_NAME", .help = "Named"},
	{0},
};
static const struct opt *const tables[] = {first, second, NULL};

static const char *const variables[] = {
	"PQC_VERBOSE", "PQC_OUT",	 "PQC_COUNT", "PQC_PART_SIZE", "PQC_WAIT",
	"PQC_FORM",    "PQC_LISTEN",	 "PQC_COLOR", "PQC_SECRET",    "PQC_CONFIG",
	"PQC_RENAMED", "PQC_OTHER_NAME", "OLD_CHUNK"};

static int clear_environment(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(variables); i++)
		unsetenv(variables[i]);
	return 0;
}

#define WORDS_MAX 16

/* Split a command line at blanks and read it. The strings live as long as line. */
struct line {
	char text[512];
	char *argv[WORDS_MAX];
	int operands;
};

static int parse(struct opts *o, const char *text, struct line *l, struct err *e)
{
	int argc = 0;
	char *rest;

	snprintf(l->text, sizeof(l->text), "%s", text);
	for (char *w = strtok_r(l->text, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
		assert_true(argc < WORDS_MAX);
		l->argv[argc++] = strcmp(w, "''") == 0 ? w + 2 : w;
	}
	return opts_argv(o, argc, l->argv, &l->operands, e);
}

static struct opts *fresh(void)
{
	struct opts *o = opts_new(tables);

	assert_non_null(o);
	return o;
}

static void options_and_operands_mix(void **state)
{
	struct opts *o = fresh();
	struct line l;
	struct err e;

	(void)state;
	assert_int_equal(parse(o, "a -v b --out=x - --count 7 -l c:1 -ld:2 -- -v --out", &l, &e),
			 0);
	assert_int_equal(l.operands, 5);
	assert_string_equal(l.argv[0], "a");
	assert_string_equal(l.argv[1], "b");
	assert_string_equal(l.argv[2], "-");
	assert_string_equal(l.argv[3], "-v");
	assert_string_equal(l.argv[4], "--out");
	assert_int_equal(opts_defaults(o, &e), 0);
	assert_true(opt_flag(o, "verbose"));
	assert_string_equal(opt_text(o, "out"), "x");
	assert_int_equal(opt_number(o, "count"), 7);
	assert_int_equal(opt_count(o, "listen"), 2);
	assert_string_equal(opt_item(o, "listen", 1), "d:2");
	assert_null(opt_item(o, "listen", 2));
	opts_free(o);
}

static void short_flags_combine(void **state)
{
	struct opts *o = fresh();
	struct line l;
	struct err e;

	(void)state;
	assert_int_equal(parse(o, "-vo x -o y", &l, &e), 0);
	assert_true(opt_flag(o, "verbose"));
	assert_string_equal(opt_text(o, "out"), "y"); /* the last one counts */
	opts_free(o);
	o = fresh();
	assert_int_equal(parse(o, "-o --count", &l, &e), 0); /* a value may begin with '-' */
	assert_string_equal(opt_text(o, "out"), "--count");
	opts_free(o);
}

static void bad_command_lines_say_what_was_expected(void **state)
{
	static const struct {
		const char *line, *says;
		int code;
	} cases[] = {
		{"--missing", "there is no option --missing", PQC_EUSAGE},
		{"--missing=x", "there is no option --missing", PQC_EUSAGE},
		{"-x", "there is no option -x", PQC_EUSAGE},
		{"-vx", "there is no option -x", PQC_EUSAGE},
		{"--ou x", "there is no option --ou", PQC_EUSAGE},
		{"--out", "--out: expected a value (FILE), found the end", PQC_EUSAGE},
		{"-o", "-o: expected a value (FILE), found the end", PQC_EUSAGE},
		{"--out=", "--out: expected a value (FILE), found nothing", PQC_EUSAGE},
		{"--out ''", "--out: expected a value (FILE), found nothing", PQC_EUSAGE},
		{"--verbose=yes", "--verbose takes no value, found 'yes'", PQC_EUSAGE},
		{"--count 0", "--count: expected a number from 1 to 64, found '0'", PQC_EUSAGE},
		{"--count 65", "from 1 to 64, found '65'", PQC_EUSAGE},
		{"--count -1", "found '-1'", PQC_EUSAGE},
		{"--count 1x", "found '1x'", PQC_EUSAGE},
		{"--count 99999999999999999999", "found '999", PQC_EUSAGE},
		{"--part-size 1", "from 64K to 32M, found '1'", PQC_EUSAGE},
		{"--part-size 33M", "from 64K to 32M", PQC_EUSAGE},
		{"--part-size big", "found 'big'", PQC_EUSAGE},
		{"--wait 1ms", "from 1s to 1m, found '1ms'", PQC_EUSAGE},
		{"--wait 2h", "from 1s to 1m", PQC_EUSAGE},
		{"--form xml", "expected one of json|text, found 'xml'", PQC_EUSAGE},
		{"--form jso", "expected one of json|text", PQC_EUSAGE},
		{"--form json|text", "expected one of", PQC_EUSAGE},
		{"--color red", "--color: 'red' is not blue", PQC_ECONFIG},
		{"--listen \xFF", "expected UTF-8", PQC_EUSAGE},
	};
	struct line l;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct opts *o = fresh();

		e.msg[0] = '\0';
		assert_int_equal(parse(o, cases[i].line, &l, &e), cases[i].code);
		if (strstr(e.msg, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].line, e.msg);
		opts_free(o);
	}
}

static void values_of_every_kind(void **state)
{
	struct opts *o = fresh();
	struct line l;
	struct err e;

	(void)state;
	assert_int_equal(parse(o, "--part-size 2m --wait 30 --form text --color blue", &l, &e), 0);
	assert_int_equal(opt_number(o, "part-size"), 2 << 20);
	assert_int_equal(opt_number(o, "wait"), 30000);
	assert_string_equal(opt_text(o, "form"), "text");
	assert_string_equal(opt_text(o, "color"), "blue");
	assert_null(opt_text(o, "out"));
	assert_int_equal(opt_number(o, "count"), 0); /* no defaults yet */
	assert_false(opt_flag(o, "verbose"));
	opts_free(o);
}

static void settings_are_a_command_line(void **state)
{
	static const struct {
		const char *setting, *message;
		int code;
	} bad[] = {
		{"", "there is no option ''", PQC_EUSAGE},
		{"=3", "there is no option ''", PQC_EUSAGE},
		{"nonsense=3", "there is no option 'nonsense'", PQC_EUSAGE},
		{"--count=3", "there is no option '--count'", PQC_EUSAGE},
		{"count", "count: expected count=VALUE", PQC_EUSAGE},
		{"verbose", "verbose: expected verbose=VALUE", PQC_EUSAGE},
		{"verbose=maybe", "verbose: expected yes or no", PQC_EUSAGE},
		{"count=0", "count: expected a number from 1 to 64", PQC_EUSAGE},
		{"part-size=64Q", "part-size: expected a size", PQC_EUSAGE},
		{"out=", "out: expected a value (FILE)", PQC_EUSAGE},
		{"form=xml", "form: expected one of json|text", PQC_EUSAGE},
		{"color=red", "color: 'red' is not blue", PQC_ECONFIG},
	};
	struct opts *o = opts_new(tables);
	struct err e;

	(void)state;
	setenv("PQC_COUNT", "9", 1);
	assert_int_equal(opts_set(o, "count=5", &e), 0);
	assert_int_equal(opts_set(o, "count=7", &e), 0); /* the last one counts */
	assert_int_equal(opts_set(o, "verbose=yes", &e), 0);
	assert_int_equal(opts_set(o, "part-size=64K", &e), 0);
	assert_int_equal(opts_set(o, "out=a=b", &e), 0);
	assert_int_equal(opts_set(o, "listen=x:1", &e), 0);
	assert_int_equal(opts_set(o, "listen=y,z", &e), 0); /* one value: no comma counts */
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(opts_set(o, bad[i].setting, &e), bad[i].code);
		assert_int_equal(e.code, bad[i].code);
		assert_memory_equal(e.msg, bad[i].message, strlen(bad[i].message));
	}
	assert_int_equal(opts_env(o, &e), 0);
	assert_int_equal(opts_defaults(o, &e), 0);
	assert_int_equal(opt_number(o, "count"), 7);
	assert_true(opt_flag(o, "verbose"));
	assert_int_equal(opt_number(o, "part-size"), 65536);
	assert_string_equal(opt_text(o, "out"), "a=b");
	assert_int_equal(opt_count(o, "listen"), 2);
	assert_string_equal(opt_item(o, "listen", 0), "x:1");
	assert_string_equal(opt_item(o, "listen", 1), "y,z");
	opts_free(o);
}

static void environment_is_read(void **state)
{
	struct opts *o = fresh();
	struct err e;

	(void)state;
	setenv("PQC_VERBOSE", "yes", 1);
	setenv("PQC_COUNT", "9", 1);
	setenv("PQC_LISTEN", " x:1,y:2 ,  z:3 ", 1);
	setenv("PQC_SECRET", "nonsense", 1); /* has no variable, so nobody looks */
	setenv("PQC_OTHER_NAME", "n", 1);
	setenv("PQC_RENAMED", "not this", 1);
	setenv("PQC_OUT", "", 1);
	assert_int_equal(opts_env(o, &e), 0);
	assert_true(opt_flag(o, "verbose"));
	assert_int_equal(opt_number(o, "count"), 9);
	assert_int_equal(opt_count(o, "listen"), 3);
	assert_string_equal(opt_item(o, "listen", 0), "x:1");
	assert_string_equal(opt_item(o, "listen", 1), "y:2");
	assert_string_equal(opt_item(o, "listen", 2), "z:3");
	assert_false(opt_flag(o, "secret"));
	assert_string_equal(opt_text(o, "renamed"), "n");
	assert_null(opt_text(o, "out"));
	opts_free(o);
}

static void bad_variables_are_bad_configuration(void **state)
{
	static const char *const cases[][3] = {
		{"PQC_COUNT", "many", "PQC_COUNT: expected a number"},
		{"PQC_VERBOSE", "maybe", "PQC_VERBOSE: expected yes or no, found 'maybe'"},
		{"PQC_LISTEN", "a:1,,b:2", "PQC_LISTEN: expected a value"},
		{"OLD_CHUNK", "huge", "OLD_CHUNK: expected a size"},
		{"PQC_COLOR", "red", "PQC_COLOR: 'red' is not blue"},
	};
	struct err e;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct opts *o = fresh();

		clear_environment(state);
		setenv(cases[i][0], cases[i][1], 1);
		assert_int_equal(opts_env(o, &e), PQC_ECONFIG);
		assert_int_equal(e.code, PQC_ECONFIG);
		assert_memory_equal(e.msg, cases[i][2], strlen(cases[i][2]));
		opts_free(o);
	}
}

static void old_names_are_outweighed_by_new_ones(void **state)
{
	struct opts *o = fresh();
	struct err e;

	(void)state;
	setenv("OLD_CHUNK", "70000", 1);
	assert_int_equal(opts_env(o, &e), 0);
	assert_int_equal(opt_number(o, "part-size"), 70000);
	assert_int_equal(opt_origin(o, "part-size"), OPT_FROM_OLD_ENV);
	setenv("PQC_PART_SIZE", "128K", 1);
	assert_int_equal(opts_env(o, &e), 0);
	assert_int_equal(opt_number(o, "part-size"), 128 << 10);
	assert_int_equal(opt_origin(o, "part-size"), OPT_FROM_ENV);
	opts_free(o);
}

/* Write a configuration file; the caller removes it. */
static void write_conf(char path[64], const char *text)
{
	int fd;

	strcpy(path, "/tmp/pqc-opt-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void command_line_then_environment_then_file_then_default(void **state)
{
	struct opts *o = fresh();
	char path[64];
	struct line l;
	struct err e;

	(void)state;
	write_conf(path, "count = 5\nout = \"in file\"\nlisten = f:1, f:2\nwait = 5s\n");
	setenv("PQC_COUNT", "6", 1);
	setenv("PQC_LISTEN", "e:1", 1);
	assert_int_equal(parse(o, "--listen c:1", &l, &e), 0);
	assert_int_equal(opts_env(o, &e), 0);
	assert_int_equal(opts_file(o, path, &e), PQC_OK);
	assert_int_equal(opts_defaults(o, &e), 0);
	assert_int_equal(opt_count(o, "listen"), 1);
	assert_string_equal(opt_item(o, "listen", 0), "c:1");
	assert_int_equal(opt_origin(o, "listen"), OPT_FROM_ARGV);
	assert_int_equal(opt_number(o, "count"), 6);
	assert_int_equal(opt_origin(o, "count"), OPT_FROM_ENV);
	assert_string_equal(opt_text(o, "out"), "in file");
	assert_int_equal(opt_origin(o, "out"), OPT_FROM_FILE);
	assert_int_equal(opt_number(o, "part-size"), 1 << 20);
	assert_int_equal(opt_origin(o, "part-size"), OPT_DEFAULT);
	assert_int_equal(opt_origin(o, "color"), OPT_UNSET);
	unlink(path);
	opts_free(o);
}

static void bad_files_name_the_line(void **state)
{
	static const char *const cases[][2] = {
		{"count = 0", ":1: count: expected a number from 1 to 64, found '0'"},
		{"\ncolor = red", ":2: color: 'red' is not blue"},
		{"colour = red", ":1: there is no key 'colour'"},
		{"config = x", ":1: there is no key 'config'"},
		{"count = 1\ncount = 2", ":2: 'count' is given already in line 1"},
		{"verbose = perhaps", ":1: verbose: expected yes or no"},
	};
	char path[64];
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct opts *o = fresh();
		struct line l;

		/* What the command line outweighs is checked all the same. */
		assert_int_equal(parse(o, "--count 4 --color blue", &l, &e), 0);
		write_conf(path, cases[i][0]);
		assert_int_equal(opts_file(o, path, &e), PQC_ECONFIG);
		assert_int_equal(e.code, PQC_ECONFIG);
		assert_memory_equal(e.msg, path, strlen(path));
		assert_memory_equal(e.msg + strlen(path), cases[i][1], strlen(cases[i][1]));
		assert_int_equal(opt_number(o, "count"), 4);
		unlink(path);
		opts_free(o);
	}
}

static void rereading_keeps_the_command_line(void **state)
{
	struct opts *o = fresh(), *again = NULL;
	char path[64];
	struct line l;
	struct err e;

	(void)state;
	assert_int_equal(parse(o, "--out here -l a:1 -l b:2", &l, &e), 0);
	assert_int_equal(opts_env(o, &e), 0);
	assert_int_equal(opts_defaults(o, &e), 0);
	write_conf(path, "count = 8\nout = there\n");
	assert_int_equal(opts_reread(o, path, &again, &e), 0);
	assert_int_equal(opt_number(again, "count"), 8);
	assert_string_equal(opt_text(again, "out"), "here");
	assert_int_equal(opt_count(again, "listen"), 2);
	assert_int_equal(opt_number(o, "count"), 3);
	opts_free(again);
	unlink(path);
	again = NULL;
	assert_int_equal(opts_reread(o, path, &again, &e), PQC_ENOTFOUND);
	assert_null(again);
	opts_free(o);
}

/* What was read from the dump, as opts_file reads it. */
static int again(void *arg, const char *key, const char *value, const char *where, struct err *e)
{
	(void)where, (void)e;
	buf_printf(arg, "%s=%s;", key, value);
	return 0;
}

static void the_dump_can_be_read(void **state)
{
	struct buf b = BUF_INIT(65536), seen = BUF_INIT(65536);
	struct opts *o = fresh();
	struct line l;
	struct err e;

	(void)state;
	setenv("PQC_WAIT", "30s", 1);
	assert_int_equal(parse(o, "-v --out a\"b\\c,d#e", &l, &e), 0);
	assert_int_equal(opts_env(o, &e), 0);
	assert_int_equal(opts_defaults(o, &e), 0);
	opts_dump(o, &b);
	assert_non_null(buf_cstr(&b));
	assert_non_null(strstr((char *)b.p, "# --verbose\nverbose = yes\n"));
	assert_non_null(strstr((char *)b.p, "# PQC_WAIT\nwait = 30s\n"));
	assert_non_null(strstr((char *)b.p, "# default\ncount = 3\n"));
	assert_non_null(strstr((char *)b.p, "# not set\n# color =\n"));
	assert_null(strstr((char *)b.p, "config"));
	assert_int_equal(conf_parse("dump", (char *)b.p, again, &seen, &e), 0);
	assert_string_equal(buf_cstr(&seen),
			    "verbose=yes;out=a\"b\\c,d#e;count=3;part-size=1M;wait=30s;"
			    "listen=a:1,b:2;secret=no;");
	buf_free(&b);
	buf_free(&seen);
	opts_free(o);
}

static void names_of_variables(void **state)
{
	char name[64];

	(void)state;
	assert_string_equal(opt_env_name(opt_find(tables, "part-size", 9), name), "PQC_PART_SIZE");
	assert_string_equal(opt_env_name(opt_find(tables, "secret", 6), name), "");
	assert_string_equal(opt_env_name(opt_find(tables, "renamed", 7), name), "PQC_OTHER_NAME");
	assert_null(opt_find(tables, "part", 4));
	assert_null(opt_find(tables, "", 0));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, clear_environment, clear_environment)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_and_operands_mix),
		TEST(short_flags_combine),
		TEST(bad_command_lines_say_what_was_expected),
		TEST(values_of_every_kind),
		TEST(settings_are_a_command_line),
		TEST(environment_is_read),
		TEST(bad_variables_are_bad_configuration),
		TEST(old_names_are_outweighed_by_new_ones),
		TEST(command_line_then_environment_then_file_then_default),
		TEST(bad_files_name_the_line),
		TEST(rereading_keeps_the_command_line),
		TEST(the_dump_can_be_read),
		TEST(names_of_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
