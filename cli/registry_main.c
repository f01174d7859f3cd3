// SPDX-License-Identifier: Apache-2.0
/* arrow-registry: the commands that speak to registries. `arrow pull` and the like start it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/registry.h"

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	stopped = sig;
}

volatile sig_atomic_t *registry_stop(void)
{
	return &stopped;
}

bool registry_tls_verify(const char *value, const struct argp_state *state)
{
	if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		argp_error(state, "--tls-verify takes true or false, not \"%s\"", value);
	return !value || strcmp(value, "false") != 0;
}

int registry_end(struct arrow_error *error)
{
	int status = cli_error(error);

	if (stopped > 0) {
		/* So that a shell sees what happened, and ends a script that called us. */
		signal(stopped, SIG_DFL);
		raise(stopped);
	}
	return status;
}

int registry_http_options(struct http_options *options, bool insecure, struct arrow_error *error)
{
	const char *text = getenv("ARROW_REGISTRY_TIMEOUT");
	char *end;
	unsigned long n;

	*options = (struct http_options){
		.insecure = insecure, .stall = REGISTRY_STALL, .cancel = &stopped};
	if (!text || !*text)
		return 0;
	n = strtoul(text, &end, 10);
	if (*end || *text < '0' || *text > '9' || n < 1 || n > 3600)
		return arrow_fail(error, EINVAL,
			"ARROW_REGISTRY_TIMEOUT is a number of seconds from 1 to 3600, not \"%s\"",
			text);
	options->stall = (unsigned int)n;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*main)(int argc, char **argv);
	} commands_here[] = {{"pull", cmd_pull}, {"push", cmd_push}, {"login", cmd_login},
		{"logout", cmd_logout}};
	struct sigaction sa = {.sa_handler = stop};
	char title[32];

	for (size_t i = 0; argc > 1 && i < sizeof(commands_here) / sizeof(*commands_here); i++) {
		if (strcmp(argv[1], commands_here[i].name) != 0)
			continue;
		sigaction(SIGINT, &sa, NULL);
		sigaction(SIGTERM, &sa, NULL);
		sigaction(SIGHUP, &sa, NULL);
		signal(SIGPIPE, SIG_IGN);
		snprintf(title, sizeof(title), "arrow %s", argv[1]);
		argv[1] = title;
		return commands_here[i].main(argc - 1, argv + 1);
	}
	fputs("arrow-registry is a part of Arrow: use 'arrow pull', 'push', 'login' or 'logout'\n",
		stderr);
	return ARROW_STATUS_ERROR;
}
