// SPDX-License-Identifier: Apache-2.0
/*
 * What names mean to the C library that this is linked with: a line for each, "NAME ADDRESS..."
 * with the addresses sorted, or "NAME unknown"; and "slow NAME" for one that took three seconds.
 * With -l: again and again, until one line is as the first argument behind it says; then it waits.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TEXT 1024

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void resolve(const char *name, char line[TEXT])
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char texts[16][INET6_ADDRSTRLEN];
	double before = now();
	size_t n = 0;
	int r = getaddrinfo(name, NULL, &hints, &list);

	for (const struct addrinfo *i = list; r == 0 && i && n < 16; i = i->ai_next) {
		const struct sockaddr_in *in = (const void *)i->ai_addr;
		const struct sockaddr_in6 *in6 = (const void *)i->ai_addr;

		inet_ntop(i->ai_family,
			i->ai_family == AF_INET6 ? (const void *)&in6->sin6_addr : &in->sin_addr,
			texts[n++], INET6_ADDRSTRLEN);
	}
	if (r == 0)
		freeaddrinfo(list);
	qsort(texts, n, sizeof(*texts), by_text);
	snprintf(line, TEXT, "%s", name);
	for (size_t i = 0; i < n; i++)
		snprintf(line + strlen(line), TEXT - strlen(line), " %s", texts[i]);
	if (n == 0)
		snprintf(line + strlen(line), TEXT - strlen(line), " unknown");
	if (now() - before > 3)
		printf("slow %s\n", name);
}

int main(int argc, char **argv)
{
	char line[TEXT];

	if (argc == 4 && strcmp(argv[1], "-l") == 0) {
		do
			resolve(argv[3], line);
		while (strcmp(line, argv[2]) != 0 && usleep(50000) == 0);
		puts(line);
		fflush(stdout);
		pause();
	}
	for (int i = 1; i < argc; i++) {
		resolve(argv[i], line);
		puts(line);
	}
	return 0;
}
