/* The options that several verbs share. */
#include "cli/cli.h"
#include "client/defaults.h"

const struct opt common_options[] = {
	{.name = "help",
	 .letter = 'h',
	 .kind = OPT_FLAG,
	 .flags = OPT_NO_ENV | OPT_COMMAND_LINE,
	 .help = "Explain this verb and its options"},
	{0},
};

const struct opt identity_options[] = {
	{.name = "identity",
	 .letter = 'i',
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Your private key; without it $PQC_HOME/identity"},
	{.name = "passphrase-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Holds the private key's passphrase in its first line; without it you are asked"},
	{0},
};

const struct opt client_options[] = {
	{.name = "known-servers",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Servers whose identity is known; without it $PQC_HOME/known_servers"},
	{.name = "accept-new",
	 .kind = OPT_FLAG,
	 .help = "Trust a server that is not known yet, and remember its identity"},
	{.name = "server-id",
	 .kind = OPT_TEXT,
	 .arg = "ID|FILE.pub",
	 .help = "The server must have this identity, whatever is remembered"},
	{.name = "ca",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Certificates to trust for pqcs:// and wss://, and of a collector; without it the "
		 "system's"},
	{.name = "timeout",
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .def = DEFAULT_CONNECT,
	 .min = 1,
	 .max = 3600000,
	 .help = "How long a connection may take to come about"},
	{.name = "idle-timeout",
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .def = DEFAULT_IDLE,
	 .min = 100,
	 .max = 3600000,
	 .help = "How long a connection may bring nothing before it is given up"},
	{.name = "retry-for",
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .def = DEFAULT_RETRY,
	 .min = 0,
	 .max = 30 * UINT64_C(86400000),
	 .help = "How long to go on connecting again while nothing moves; 0: not at all"},
	{.name = "otlp-endpoint",
	 .kind = OPT_TEXT,
	 .arg = "URL",
	 .old_env = "OTEL_EXPORTER_OTLP_ENDPOINT",
	 .help = "Send traces of transfers to this OpenTelemetry collector (OTLP over HTTP, as "
		 "JSON); "
		 "$TRACEPARENT names the trace they are part of"},
	{.name = "quiet", .letter = 'q', .kind = OPT_FLAG, .help = "Report errors only"},
	{.name = "json",
	 .kind = OPT_FLAG,
	 .help = "Print results, and errors, as JSON objects, one a line"},
	{0},
};

const struct opt transfer_options[] = {
	{.name = "threads",
	 .kind = OPT_NUMBER,
	 .arg = "N",
	 .min = 1,
	 .max = CLIENT_THREADS_MAX,
	 .help = "Threads that encrypt (send: without it one for each processor but one, at most "
		 "2) or decrypt (get: one for each and one more, at most 4)"},
	{0},
};
