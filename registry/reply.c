// SPDX-License-Identifier: Apache-2.0
#include "registry/reply.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"
#include "util/text.h"

#define ATTEMPTS 5u
#define BACKOFF_MS 500u
#define WORDS_MAX 200

bool reply_is_success(int status)
{
	return status >= 200 && status < 300;
}

bool reply_may_pass(int status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
	       status == 504;
}

/* Sleeps, but not beyond a cancel. */
static void attempts_sleep(uint64_t ms, const struct registry_options *options)
{
	uint64_t end = now_ms() + ms, now;

	while ((now = now_ms()) < end && !(options->http.cancel && *options->http.cancel))
		usleep((useconds_t)((end - now > 100 ? 100 : end - now) * 1000));
}

bool attempts_again(struct attempts *a, const struct registry_options *options)
{
	uint64_t wait = (uint64_t)BACKOFF_MS << a->n;
	unsigned char chance = 0;

	if (++a->n >= ATTEMPTS)
		return false;
	/* Many that were cut off at once should not come back at once. */
	if (getrandom(&chance, sizeof(chance), 0) == (ssize_t)sizeof(chance))
		wait += wait * chance / 1024;
	if (a->wait_s > 0 && (uint64_t)a->wait_s * 1000 > wait)
		wait = (uint64_t)a->wait_s * 1000;
	a->wait_s = 0;
	attempts_sleep(wait, options);
	return !(options->http.cancel && *options->http.cancel);
}

/* A stranger's words on the user's terminal: one line, no control characters, not too long. */
static char *plain_words(const char *text)
{
	return text_clean(strndup(text, WORDS_MAX));
}

/* "message" of the first of {"errors": [{"code", "message"}]}; *code is owned, too. */
static char *reply_read_refusal(const struct http_reply *reply, char **code)
{
	json_t *answer = reply->body ? json_loadb(reply->body, reply->size, 0, NULL) : NULL;
	const json_t *first = json_array_get(json_object_get(answer, "errors"), 0);
	const char *text = json_string_value(json_object_get(first, "message"));
	const char *name = json_string_value(json_object_get(first, "code"));
	char *words;

	if (!text)
		text = json_string_value(json_object_get(answer, "message"));
	if (!text)
		text = json_string_value(json_object_get(answer, "details"));
	words = plain_words(text ? text : "it gave no reason");
	*code = plain_words(name ? name : "");
	json_decref(answer);
	return words;
}

int registry_fail(const struct registry *r, const char *what, const struct http_reply *reply,
	struct arrow_error *error)
{
	_cleanup_free_ char *code = NULL;
	_cleanup_free_ char *words = reply_read_refusal(reply, &code);
	const char *user = r->credentials.username;

	if (reply->status == 404)
		return arrow_fail(error, ENOENT, "there is no %s in the registry %s (%s)", what,
			r->host, words);
	if (reply->status == 401 || reply->status == 403)
		return arrow_fail(error, EACCES,
			"%s denies %s%s%s access to %s: %s; log in with 'arrow login %s' as a user who has access",
			r->host, user || r->credentials.token ? "the user " : "anonymous users",
			user ? user : "",
			r->credentials.token && !user ? "of the stored token" : "", what, words,
			r->host);
	if (reply->status == 429)
		return arrow_fail(error, EBUSY,
			"%s limits the rate of requests: %s; wait, or log in with 'arrow login %s' for a higher limit",
			r->host, words, r->host);
	return arrow_fail(error, EIO, "%s answered %d to a request for %s: %s%s", r->host,
		reply->status, what, words,
		reply->status >= 500 ? "; try again later, or ask who runs it" : "");
}
