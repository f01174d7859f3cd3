/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_LIBCRYPTO_H
#define ARROW_UTIL_LIBCRYPTO_H

/*
 * libcrypto, loaded by dlopen() when something large is hashed, or something signed or checked: to
 * relocate it and to set it up takes 2 ms, and a start of an Arrow needs it for nothing. Its
 * functions are used by their own names after libcrypto_load().
 */

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "util/error.h"

/* Loads it, once. Errors: -ENOPKG (it is not installed). Any number of threads may call it. */
int libcrypto_load(struct arrow_error *error) ARROW_MUST_CHECK;

/* clang-format off */
#define LIBCRYPTO_FUNCTIONS(X) \
	X(BIO_free) \
	X(BIO_new_mem_buf) \
	X(ERR_clear_error) \
	X(EVP_DecodeBlock) \
	X(EVP_DigestFinal_ex) \
	X(EVP_DigestInit_ex) \
	X(EVP_DigestSign) \
	X(EVP_DigestSignInit) \
	X(EVP_DigestUpdate) \
	X(EVP_DigestVerify) \
	X(EVP_DigestVerifyInit) \
	X(EVP_EncodeBlock) \
	X(EVP_MD_CTX_free) \
	X(EVP_MD_CTX_new) \
	X(EVP_PKEY_free) \
	X(EVP_PKEY_get_base_id) \
	X(EVP_PKEY_get_bits) \
	X(EVP_sha256) \
	X(PEM_read_PrivateKey) \
	X(PEM_read_bio_PUBKEY)
/* clang-format on */

#define DECLARE(name) extern __typeof__(name) *libcrypto_##name;
LIBCRYPTO_FUNCTIONS(DECLARE)
#undef DECLARE

#ifndef LIBCRYPTO_NO_NAMES
#define BIO_free libcrypto_BIO_free
#define BIO_new_mem_buf libcrypto_BIO_new_mem_buf
#define ERR_clear_error libcrypto_ERR_clear_error
#define EVP_DecodeBlock libcrypto_EVP_DecodeBlock
#define EVP_DigestFinal_ex libcrypto_EVP_DigestFinal_ex
#define EVP_DigestInit_ex libcrypto_EVP_DigestInit_ex
#define EVP_DigestSign libcrypto_EVP_DigestSign
#define EVP_DigestSignInit libcrypto_EVP_DigestSignInit
#define EVP_DigestUpdate libcrypto_EVP_DigestUpdate
#define EVP_DigestVerify libcrypto_EVP_DigestVerify
#define EVP_DigestVerifyInit libcrypto_EVP_DigestVerifyInit
#define EVP_EncodeBlock libcrypto_EVP_EncodeBlock
#define EVP_MD_CTX_free libcrypto_EVP_MD_CTX_free
#define EVP_MD_CTX_new libcrypto_EVP_MD_CTX_new
#define EVP_PKEY_free libcrypto_EVP_PKEY_free
#define EVP_PKEY_get_base_id libcrypto_EVP_PKEY_get_base_id
#define EVP_PKEY_get_bits libcrypto_EVP_PKEY_get_bits
#define EVP_sha256 libcrypto_EVP_sha256
#define PEM_read_PrivateKey libcrypto_PEM_read_PrivateKey
#define PEM_read_bio_PUBKEY libcrypto_PEM_read_bio_PUBKEY
#endif

#endif
