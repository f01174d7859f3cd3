// SPDX-License-Identifier: Apache-2.0
#include "util/digest.h"

#include <errno.h>
#include <sha2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/hex.h"
#include "util/libcrypto.h"

#define SPARSE_BLOCK 65536u
#define LITTLE 65536u /* of this there is no need for libcrypto, which is many times as fast */

struct digest {
	EVP_MD_CTX *ctx;
};

struct digest *digest_begin(void)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct digest *d = libcrypto_load(&error) < 0 ? NULL : calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(d->ctx);
		free(d);
		return NULL;
	}
	return d;
}

void digest_add(struct digest *d, const void *data, size_t size)
{
	/* Fails only on a context that was not initialised. */
	if (EVP_DigestUpdate(d->ctx, data, size) != 1)
		abort();
}

void digest_end(struct digest *d, char hex[DIGEST_HEX])
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	unsigned int size = 0;

	if (EVP_DigestFinal_ex(d->ctx, sum, &size) != 1 || size != 32)
		abort();
	hex_encode(sum, 32, hex);
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

int digest_data(const void *data, size_t size, char hex[DIGEST_HEX])
{
	struct digest *d;
	uint8_t sum[SHA256_DIGEST_LENGTH];
	SHA2_CTX ctx;

	if (size <= LITTLE) {
		SHA256Init(&ctx);
		SHA256Update(&ctx, data, size);
		SHA256Final(sum, &ctx);
		hex_encode(sum, 32, hex);
		return 0;
	}
	d = digest_begin();
	if (!d)
		return -ENOMEM;
	digest_add(d, data, size);
	digest_end(d, hex);
	return 0;
}

int digest_fd(int fd, char hex[DIGEST_HEX])
{
	const size_t room = 256 * 1024;
	_cleanup_free_ char *buf = malloc(room);
	struct digest *d = digest_begin();
	off_t at = 0;
	ssize_t n;

	if (!buf || !d) {
		if (d)
			digest_end(d, hex);
		return -ENOMEM;
	}
	while ((n = pread(fd, buf, room, at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		digest_add(d, buf, (size_t)n);
		at += n;
	}
	n = n < 0 ? -errno : 0;
	digest_end(d, hex);
	return (int)n;
}

int digest_sparse(int fd, char hex[DIGEST_HEX])
{
	static const uint8_t zeros[SPARSE_BLOCK];
	_cleanup_free_ uint8_t *block = malloc(SPARSE_BLOCK);
	struct digest *d = digest_begin();
	off_t at = 0, size = lseek(fd, 0, SEEK_END);
	int r = size < 0 ? -errno : 0;

	if (!block || !d)
		r = -ENOMEM;
	while (r == 0 && at < size) {
		off_t data = lseek(fd, at, SEEK_DATA);
		uint64_t where;
		ssize_t n;

		if (data < 0 && errno == ENXIO)
			break; /* holes up to the end */
		if (data > at)
			at = data - data % SPARSE_BLOCK;
		n = pread(fd, block, SPARSE_BLOCK, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = n < 0 ? -errno : -EIO;
			break;
		}
		where = (uint64_t)at;
		if (memcmp(block, zeros, (size_t)n) != 0) {
			digest_add(d, &where, sizeof(where));
			digest_add(d, block, (size_t)n);
		}
		at += n;
	}
	if (d) {
		digest_add(d, &size, sizeof(size));
		digest_end(d, hex);
	}
	return r;
}
