"""Hold the keys and the texts that redaction is measured by, in both directions."""

from __future__ import annotations

# ruff: noqa: E501 - a token is as long as it is

# A dot in the middle (·) breaks a token up, so that no scanner takes this file for a leak; ␤ is a line break.


def _words(lines: str) -> list[str]:
    return lines.split()


def _texts(lines: str) -> list[str]:
    lines = lines.strip("\n").replace("·", "").replace("␤", "\0")
    return [text.replace("\0", "\n") for line in lines.splitlines() for text in line.split(" ¦ ")]


KEYS_THAT_GO = _words("""
password user.password userPassword user_password UserPassword USER_PASSWORD user-password dbPassword DB_PASSWORD
password_hash passwordHash password.hash hashed_password password.value password1 password2 newPassword old_password
current-password passwords user[password] form:password login/password smtp.password PGPASSWORD keystorePassword
dbpassword password_hashed password_raw password_hash_hex passwordConfirmation password_confirm password_plain
passwd user_passwd HTPASSWD passphrase ssh.passphrase sshKeyPassphrase passcode door_passcode pwd user_pwd oldPwd
PassWord PASS-WORD pass_word ｐａｓｓｗｏｒｄ encryptedPassword db_pass smtpPass mysql_pass pin_code cardPin
secret secrets client_secret clientSecret clientsecret stripe_secret webhookSecret shared-secret app.secret
secret_value secret_key SECRET_KEY SECRET_KEY_BASE aws_secret_access_key AWS_SECRET_ACCESS_KEY consumer_secret jwt_secret
token tokens accessToken access_token ACCESS-TOKEN accesstoken refresh_token refreshTokens id_token idToken csrf_token
csrftoken csrfmiddlewaretoken xsrf-token X-CSRF-Token csrf xsrf auth_token authtoken authToken2 X-Auth-Token bearer_token
userAPIToken JWTs userJWT jwt jwt_raw session_token sessionToken device_token pushToken resetToken reset_token.value
X-Vault-Token x-amz-security-token api_token apitoken oauth2_token oauthToken.raw personal.access.token token_hash
token_number bot-token verification_token npmToken api_key apiKey APIKey apikey api-key X-Api-Key x-apikey apiKey2
api_keys api.key stripe.apiKey apikey_hash x-goog-api-key access_key accessKey aws.access_key private_key privateKey
ssh-private-key private_key_pem privateKeyPem rsaPrivateKeys tls.private.key signing_key signingKey encryption_key
dataEncryptionKey decryption_key master_key shared_key hmac_key account_key Ocp-Apim-Subscription-Key deploy_key
authorization Authorization http.request.header.authorization authorization_header Proxy-Authorization
authorization.value authorization_code auth_code auth_key basic_auth proxyAuth X-Auth-Key bearer
cookie cookies Cookie Set-Cookie set_cookie setCookies http.request.header.cookie http.response.header.set-cookie
cookie_value cookie_header session_cookie sessionid session_id sessionId SESSION-ID user.session_id sessionid_hash
PHPSESSID JSESSIONID connect.sid session_key sessionKey user.session.id sessionIds
card_number cardNumber cardnumber card.number cardNumbers credit_card creditCard credit_card_number creditcardnumber
creditCardNumberHash debit_card cc_number ccNumber ccnum cc-num card_no cvv cvv2 CVV card_cvv cvc cardCVC cvc_number
security_code card.pan iban IBAN customerIban iban_number ssn SSN user.ssn ssn_hash employeeSSN social_security
socialSecurityNumber social_security_number bank_account bankAccountNumber
credential credentials userCredential aws.credentials credentials_raw db_credentials X-Amz-Credential X-Amz-Signature
otp user_otp otpCode totp mfa_code mfaCode 2fa_code twoFactorCode verification_code backup_codes recoveryCode
one_time_password oneTimeCode access_code connection_string connectionString db.connectionString connstr dsn DATABASE_DSN
pw login.pw auth_header saml_response SAMLResponse client_assertion seed_phrase wallet.mnemonic secret_digest user.pass_word.hash
""")

KEYS_THAT_STAY = _words("""
token_count tokenCount tokens_used token_type token.type tokenizer tokenized tokenize_ms token_expiry token_id
token_expires_at tokens_per_second token_endpoint token_issuer gen_ai.usage.input_tokens gen_ai.usage.output_tokens
total_tokens max_tokens prompt_tokens completion_tokens maxTokens totalTokens max_new_tokens num_tokens n_tokens
cached_tokens reasoning_tokens gen_ai.request.max_tokens gen_ai.token.type usage.tokens llm.tokens
gen_ai.usage.cache_read.input_tokens cache_creation_input_tokens budget_tokens gen_ai.server.time_to_first_token
gen_ai.server.time_per_output_token cost_per_token x-ratelimit-remaining-tokens max_completion_tokens
passport_country passport passport_number_type password_reset password_changed_at passwordless password_strength
password_length password_reset_sent password_attempts passwd_file bypass compass passenger passengers.count
pass pass_rate passed boarding_pass pass_through passive pin pinned pins pinterest_id pin_count pinch spin opinion
secretary secretariat secret_name secret_version secret_arn secrets_count secretion session session_ms session_kind
session.id session.previous_id session_count session_length session_started sessions session_idle_ms sessionless
cookie_consent cookie_count cookies_enabled cookie_banner cookie_policy_version cookiecutter
monkey donkey turkey key keyboard keyboard_layout hotkey keynote keys.count key_count cache_key cacheKey idempotency_key
primary_key foreign_key partition_key sort_key routing_key s3.key object_key messaging.kafka.message.key public_key
publicKey public_key_pem key_id access_key_id private_key_id api_key_id api_key_name apikey_count api_keys_created
api_version api.path api key_type keyspace keyword keywords
author authors author_id authored_by authority auth auth.method auth_type auth_ms authenticated authentication
authentication.method authorized authorizer authorization_url authorization_status authorization_ms preauthorization
oauth oauth_provider oauth.scope unauthorized
card_brand card_last4 card.exp_month card_type card_count cardinality cardiology cards credit_card_type credit credits
credit_limit creditor discard dashboard.id postcard wildcard scorecard
code status_code http.response.status_code error_code country_code zip_code coupon.code currency_code qr_code promo_code
number number_of_items order_number phone_number invoice_number header http.request.header.accept
http.request.header.user-agent header_count hash commit_hash content_hash file.hash value cart.value raw raw_size hex
color.hex number.value value.raw pem hashed
signature_valid signature_algorithm credential_id credential_type credentials_count credentialed
ssn_present ssnap iban_country ibanez cvv_check cvc_result cvcheck otp_sent otp_attempts laptop desktop adopt
csrf_failed csrf_exempt jwt_expired jwt.alg dsn_host bearer_method forbearer_count standby
user.id user.email user.name user.plan enduser.id event.id trace.id parent.id http.request.id http.route url.path url.query
url.scheme server.address client.address duration_ms ttfb_ms db.query.text db.system.name db.namespace service.name
service.instance.id process.pid thread.name exception.message exception.stacktrace error.type cart.items order.total
feature_flag.key messaging.message.id sid account.sid side sides inside cwd pwd_changed description job.name
deployment.environment.name vcs.ref.head.revision user_agent.original k8s.pod.name telemetry.sdk.name 42 _ ключ 名前 ...
""")

# The secret stands between « and »; several texts in a line are divided by " ¦ ".
VALUES_THAT_GO = _texts(r"""
upstream answered 401 for «gh·p_U8JZpDE0iGXlD6gNCF7abbaEPFjbD0kH8Ooo»
«gh·o_l8DklZDOCj2ISaJiHk7abTj0rLGlkoMXGjtE»
git clone failed: could not read from remote with «gh·u_kDnNfribxUdl7dXTPy7abLsxPFkThf4VucSm» as user
token «gh·s_EHgaKwVJ7faC9qEwjk7aby40UVsWmflzdE1F» was revoked
env has KEY of «gh·r_8ResqEDusTpkr0cStY4qWB8dWKnHfDNxSIvPZZ7ab63fFKcZjR4I0b3jRtaWr4Y9OJFLJOqOAf1l» in it
(key «github·_pat_LQSAJaiXnkU7ab8Is2g8np_rvDd53x83rzjZZZZGeoZDMENcKHVm7abDGAkJiG8XnBE3NnYJoQ9WmXeHH2»)
using «glp·at-fdeeTFJGvV7abvQe1sKh», retrying
bad credential <«glp·at-BN88hX7abJsi_-6Bwh7abT»>
callback got '«gld·t-p3Fs2QhX6K7abWxOiixg»' from the client
{"seen": "«glr·t-VoOnzyw2Mz7abP0ZvzOM»"}
ValueError: «xox·b-263594206564-2343594206574-hfWuBByReQMs7abm9Wcz7uW9» is not allowed here
the key is «gh·p_Zk3v9QpL2xWm8Rt5Yb7Nc1Df4Gh6Js0Aa9Bz», see the docs
first line␤«xox·a-2-zpJn0meq7WJjjIB7abAzupGhv7Ib3M»␤third line
see [«xox·s-03NBQNSgPwlUQia1ID6v7abW5dql05ha064gIiJh»]
leaked: «xox·e-1-gB3cxLmAxzJLJenuHjDUrhhjeyxG4jDPMRCxGgcjBw56EcUngmgMsRcgizeg7ab8Psh4487Q7j58M1cIaHZcUEqPbENqTyH5xJ8tpqXJQ4I9dOv8GZ4fKq1O»; rotate it
user pasted «xox·r-KtbgZVaMWUFuXBV7abjdctBYVhnSg9» in chat
upstream answered 401 for «xa·pp-1-A0123ABCD-1234567890123-23732881584d8c4fa2815d2802827283e0ad84173581569969e58b081006f7e3»
«sk_·live_q0pbqfi14ZgT7absNOVM14tu»
git clone failed: could not read from remote with «sk_·test_oIZWD1IAEov47abQbKDFq1Y3» as user
token «rk_·live_gqSmPsSCdLKR7abcAQX9VjUP» was revoked
env has KEY of «sk_·live_C94TNWLAVYFeRgpMPgxAFQ0FJZlCZBTToOFl9h2wJq5ty4mYw7abUufJSunpJC01t5gobuszgI6hwgk10zB0rlz5tr9spOFBCIo» in it
(key «rk_·test_X9GY1cjDoBoirPf7abQAdzEv7g5iFq»)
using «whs·ec_hEvveQzE2QPuwNOv7abpdf2YEe6rSxCn», retrying
bad credential <«AK·IAMEJVQTIA6D7RGN7S»>
callback got '«AS·IAS555HMTF6BS5E4RY»' from the client
{"seen": "«AI·zaN687NElFJvhQ8XIm07abogR4HtXOf54fZBK»"}
ValueError: «ya·29.A8frcZTuJaWYUH1VAUwV1ZH87MtA5v7abSQXEZY3lEX7bwR2DRGD1qSo7JPR» is not allowed here
the key is «glp·at-x9Y8z7W6v5U4t3S2r1Qp», see the docs
first line␤«GOC·SPX-Ng5zfjOc6VwcbI7abjMPFLVjFUPX»␤third line
see [«S·G.QzkM4Bv3aYa7abvhNYRVwD.fRk9XIrghoy32NFR5PYZp7abcb9T2039BICbtw5ze9l»]
leaked: «S·Kf02cee737443e210471948d33296c870»; rotate it
user pasted «np·m_AiTdR9Up14PehPjPB97abatpTDBMf4rpaFQO» in chat
upstream answered 401 for «py·pi-AgEIcHlwaS5vcmcqb7XOfCsVtaXrZMAzSv2gENfMTx0MOdOQw4SG8nfnL5Ofa6qD8mJ7ZDNBmJa7abDtDLZc5t4UuHF7KVMLp7hvdCTquY1XVcKGAFRFWa94Hj9wNYWx0T0zbFD»
«h·f_teMXi6cMUXv5eBoaP7abzoxZCYCdEz6DQM»
git clone failed: could not read from remote with «s·k-vE5mVXRV997abnCQvtsUT3BlbkFJ7RTAuwm6zo7ab88EB0OG» as user
token «s·k-proj-et9d9xYyQ6b0fI7fLAz77abvT0sxJmPU3UdXyymF_gMZwKPaEpCejiUKb4GEQ7abnFNGaftcLOIadn5rP-vi2xqwHx1SSRkRX7abQvQMcPLPPJS4» was revoked
env has KEY of «s·k-ant-api03-6lMUEZQPghOpzGpdCGAe40O1c7ab6XC4SOHDMm0lM7EXg3LcmQ_xxq8AGomtnWNCXVJCNQCm7abup6N0A0UarXLnTENCyAA» in it
(key «s·k-or-v1-ff2d3c425c8d99d19bdd0b6cc60d5d32cbe54014c2b54b95523cf6941fa1c257»)
using «s·k-c6f561c5cb347611a3ce9d97dcbee500», retrying
bad credential <«dop·_v1_fe7ee5fc324bdb2e1142a21c402364f9572b85a8e48f687ab165c58ac5831be3»>
callback got '«doo·_v1_8cb8cb4ba2e751989a01749ddb14f71010b93b7d946bf54074e3248c801bef75»' from the client
{"seen": "«shp·at_0110c57513064d6d59291f0cde2e5738»"}
ValueError: «shp·ss_713a818d8962058765a6ca7cff00d796» is not allowed here
the key is «AK·IAZ2J4KQPL7MXT5WVA», see the docs
first line␤«PM·AK-2c376631129f34369aad80b8-91baf90d0d3bf16295d06910bf3f5fb859»␤third line
see [«snt·rys_eyJpYXQiOjE30N8sOfKH8oxFfysjyGoUWGZ7Z54vFb7ab4pBXNTQb5igKY4oO8dIimwswmpC_WlUhJ31cqjvUKdcsxQlOI7abVdp4sPgMRTwt01nJuJP»]
leaked: «da·piab57a683536c4499d863386ce10cd79e»; rotate it
user pasted «da·pi048c07dd7753eda83d7c58dfe0d5a0cf-2» in chat
upstream answered 401 for «AGE-SEC·RET-KEY-1XZSD2VKXAD7PH46ADTE8KRS3CERQY66KSXWNEWEAD2GYV7WFK6AJG7KW3C»
«dckr·_pat_rQbrLeAzuzRWP7abpTUefbnoFq5»
git clone failed: could not read from remote with «hv·s.XJ7T2YDF0k5Uy8Ih1WolAqAN8EpSQmGlJ2OLxcWyJN5Zy7abiKn5smyFq55jyo1TMfsNhFv1cq4HjHQaO0IefjDed5» as user
token «ruby·gems_4f7f505aef9ebdd25b001a3ff416d4a3baf69dad8199bfca» was revoked
env has KEY of «ey·JhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.gR3gWNpfyHVMUtTIloFyC7abZuj4ZikDZTGACM06emx» in it
(key «ey·JhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.gR3gWNpfyHVMUtTIloFyC7abZuj4ZikDZTGACM06emx»)
using «ey·JhbGciOiJSUzI1NiIsImtpZCI6IjIwMjQtMDEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwic3ViIjoidV8xIn0.qDyg6inYnJorssm4rFNCqodowLGqL3CaxG67pAX30IyTjtQ3TLaCUBbkpl76DfkhC0Hxzaks6ZcEArYml8qJexajGFpeN5JoAbAArqH92FN3HIeBRukPcuvL7DXxvts2JuwFSojtfdq74Q69DtCADA4pr0nFYTTumK931fmDUX87abkucerKJ9zHX9pKozaeYxyc8RywkVSRDnptz0mV3muA1Jm1Tlb4PYYrYmx5OzcSsAUQRbKl60w4yCS1Jz43kJR2zzjrx6fWiFijfzYMywu7OTmDrZdtN7QlwAyYdiFizWxEOZlh5Q41hUeglMMNMFLzsSXkkWZxh2JPC7fX3G», retrying
bad credential <«ey·JhbGciOiJSUzI1NiIsImtpZCI6IjIwMjQtMDEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwic3ViIjoidV8xIn0.qDyg6inYnJorssm4rFNCqodowLGqL3CaxG67pAX30IyTjtQ3TLaCUBbkpl76DfkhC0Hxzaks6ZcEArYml8qJexajGFpeN5JoAbAArqH92FN3HIeBRukPcuvL7DXxvts2JuwFSojtfdq74Q69DtCADA4pr0nFYTTumK931fmDUX87abkucerKJ9zHX9pKozaeYxyc8RywkVSRDnptz0mV3muA1Jm1Tlb4PYYrYmx5OzcSsAUQRbKl60w4yCS1Jz43kJR2zzjrx6fWiFijfzYMywu7OTmDrZdtN7QlwAyYdiFizWxEOZlh5Q41hUeglMMNMFLzsSXkkWZxh2JPC7fX3G»>
callback got '«ey·JhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.»' from the client
{"seen": "«ey·JhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.»"}
ValueError: «ey·J0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJzaG9wIiwiZXhwIjoxNzMyMjAwMDAwfQ.XodyFJUmBWRhmBGCN33kflkNQ7xRbG8cxl0m9IQ1CVM7abLYFBDCjX3tdf8265E3moZ7Ht9FQUkOpF96qgZLc2» is not allowed here
the key is «np·m_q8W7e6R5t4Y3u2I1o0P9a8S7d6F5g4H3j2K1», see the docs
first line␤«ey·JhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.KX9PuOLC8Q8WD5j5B16DQygtvpweDGJUwA8MrvTllcwpGeUXQY7abHXeYKcPzJ6r5Adt6MzCK71OE7n3X4vIxc9G77Y1BoEcVU0O.eHoXJVOv7abDLtcj.4Jc3JRaaPJBRk1SVzKQfGUd5eHJgDo7ab5yq7Nje1SHQwMXbQP7PGYSa5KD1.uSJoBczgVgI7abcAy18hSL»␤third line
see [«ey·JhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.KX9PuOLC8Q8WD5j5B16DQygtvpweDGJUwA8MrvTllcwpGeUXQY7abHXeYKcPzJ6r5Adt6MzCK71OE7n3X4vIxc9G77Y1BoEcVU0O.eHoXJVOv7abDLtcj.4Jc3JRaaPJBRk1SVzKQfGUd5eHJgDo7ab5yq7Nje1SHQwMXbQP7PGYSa5KD1.uSJoBczgVgI7abcAy18hSL»]
leaked: «ey·JhbGciOiJkaXIiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0..XbC6aNRkLI17abLhxOtLMm.F1F4mufwRLNInqtozMlTMAEsuha1u6Dh7abzWVS1o38fFAa6weI3qRPLk1XCKsXk.m2AWh7c9hEH7abWtP0136U»; rotate it
user pasted «ey·JhbGciOiJkaXIiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0..XbC6aNRkLI17abLhxOtLMm.F1F4mufwRLNInqtozMlTMAEsuha1u6Dh7abzWVS1o38fFAa6weI3qRPLk1XCKsXk.m2AWh7c9hEH7abWtP0136U» in chat
upstream answered 401 for «ey·JhbGciOiJFZERTQSIsIngiOjF9.eyJqdGkiOiI5Iiwic2NvcGUiOiJyZWFkIHdyaXRlIn0.xt3Ykw5DS3G9ufcgBhziIBP9FOnLKGTQj09BBG7svMQ7abB1mokdhPscGW3GtLCRHdflgwRHHHZ4IilO3OJqkd»
«ey·JhbGciOiJFZERTQSIsIngiOjF9.eyJqdGkiOiI5Iiwic2NvcGUiOiJyZWFkIHdyaXRlIn0.xt3Ykw5DS3G9ufcgBhziIBP9FOnLKGTQj09BBG7svMQ7abB1mokdhPscGW3GtLCRHdflgwRHHHZ4IilO3OJqkd»
GET /x?q=a%20«gh·p_Hc4Kx1Qv8Zt5Wn2Ly7Rb0Dm3Gf6Js9PaTeUi»
repr 'line\n«AK·IAQ2WERT5YUIOP3ASD» cut'
Authorization: Basic «YWxh·ZGRpbjpvcGVuc2VzYW1l»
sent basic «Ym9i·Omh1bnRlcjI=» upstream
{'Upstream': 'BASIC «c3Zj·LW9yZGVyczpacTgheA==»'}
curl -H 'Proxy: Basic «Omp1·c3QtYS1wYXNzd29yZA==»'
Basic: «c2tf·a2V5Og==»
header was Basic%20«bcO8·bGxlcjpncsO2w59l»
tried Basic «YWRt·aW46YWRtaW4=» and gave up
basic basic «YTpi·»
Authorization: Bearer «mF_9.B5f-4.1JqM»
bearer «abc12345» refused
BEARER «AbCdEfGhIj»
{"header": "Bearer «c29tZS10b2tlbg==»"}
Bearer «abcdefghijklmnopqrstuvwx»
no route for Bearer «7f9c2ba4e88f827d616045507605853e»
Bearer: «tok.en.value-1»
bEaReR «k3y-k3y-k3y»
Bearer%20«q1w2e3r4t5y6» in a URL
upstream said: Bearer   «zz11yy22xx33» expired
Bearer "«quoted-t0ken-value»"
beginning␤Bearer «newline123456»␤end
loaded «-----BEG·IN RSA PRIVATE KEY-----␤kz6U0Z2jDUhJ9r7WP3bq7aboAXGhLEUbMgqBOIaZ␤x7doCz44CC3pnR6rnRoi7abz7CnGQHhAbP8CSHTW␤pKHDm97ab96g==␤-----END RSA PRIVATE KEY-----» from disk
«-----BEG·IN PRIVATE KEY-----␤5RFdli7JcHgI4S6akSRP7abvFviS1dnskOpYMjtX␤d5jTnee0TBPVOMgiYlZA7ab7WK38PUjUfRS4NSDx␤BKjEm37abWcq==␤-----END PRIVATE KEY-----»
bad key: «-----BEG·IN EC PRIVATE KEY-----␤DhY1cWvwGhO9rv7JaVqW7abIrMnn2R01hGv2v7we␤Ryoto6tIa3GAaxjlHfZ97abkJa2yR3nmHY2csdSu␤WSWZhj7abmYp==␤-----END EC PRIVATE KEY-----»␤at line 3
«-----BEG·IN OPENSSH PRIVATE KEY-----␤UAyv2fYcTLiTzJbkYlOF7ab06VU1m1P9UNb569AB␤DQk5fT6ixTinbh0hurbY7abdWCmrWc8ArEhOGaXg␤Zpj7kJ7ab4M9==␤-----END OPENSSH PRIVATE KEY-----»
x «-----BEG·IN ENCRYPTED PRIVATE KEY-----␤afZcxn5lVshv0FKXUXE07abTgLHp5SsV07g4aoKh␤S0gNg5MaLDokmGWkoouC7absaAyATtsjA6TZ1GlA␤qBMLfx7abjkR==␤-----END ENCRYPTED PRIVATE KEY-----» y
«-----BEG·IN DSA PRIVATE KEY-----␤Proc-Type: 4,ENCRYPTED␤DEK-Info: AES-128-CBC,00AA11BB␤␤3p5igJkMamHJKhwgGBGE7abK8hf0dnbzzDpArxlU␤JtPWRKCRoG258lEWMcnY7abBDO4Zlw9CcDnPPOCK␤7l2LUA7ab530==␤-----END DSA PRIVATE KEY-----»
«-----BEG·IN PGP PRIVATE KEY BLOCK-----␤Version: GnuPG v2␤Comment: it's Bob's␤␤dTamQ94f8EPrYrtlOaTZ7ab4tfBy3PFLKWYLA4SZ␤jXHVi3YVZpE9Hb06WjPY7abMdSWPbCRqBVzJPtIF␤MRi1yI7abjcd==␤-----END PGP PRIVATE KEY BLOCK-----» imported
{"body": "«-----BEG·IN PRIVATE KEY-----\n1yzPKXWNuZYo9lNT8egN7abO2crI8tQm5clXiPZm\ngNI3wHrgFi2RvxwYBqtk7abJTAYtFsLx2OUMq5GE\nj6Xzgw7abTME==\n-----END PRIVATE KEY-----»", "id": 7}
cut: «-----BEG·IN RSA PRIVATE KEY-----␤tTFOSI0tZSWZ26dxo4o37ab3I7RLBXrzqsW5aBqt␤sdP2ZW5oGLSHR6muOtrC7abZCmKbMwTJYvCjToo8␤Lk1Okf7abthQ==»
{"cut": "«-----BEG·IN EC PRIVATE KEY-----\n7bqrkW7AH1wxpS5C42lm7absDPrHCyUNx6Wv6Fas\nvZvn1ORhFW88bc7Vsgvs7ab11oocgDrsNbrg27xI\nfwMC8s7ab0zj==»"}
repr '«-----BEG·IN PRIVATE KEY-----\r\nQLiKxoPiQP9DKWWaFMoT7abIIrtfqePtPAgscI7p\r\nWsTI4tJlkPVo0Hjbw8Kr7abqJmd1xZ1NHsSAXfNC\r\nD5RTMH7absTc==\r\n-----END PRIVATE KEY-----»'
one «-----BEG·IN PRIVATE KEY-----␤9HKUcdkXSKjECAdwfFvt7abVvkQGpf9bfMyiUAW6␤FpSon7upsQpPFIvBBxZ17abJSXL9oh257rKGyu1T␤vnUYLp7ab0WU==␤-----END PRIVATE KEY-----» two «-----BEG·IN RSA PRIVATE KEY-----␤OXIj6X11QPDCGkzo60tZ7ab5D8NfbfuKTmloFJsO␤KIcoZFC2ceMNuXAC1n217abygbJSEqDgta4VEcAq␤90L5uK7abYSA==␤-----END RSA PRIVATE KEY-----»
postgres://shop:«s3cr3t»@db:5432/shop
could not connect to postgresql://app:«p%40ss»@10.0.0.5/app?sslmode=require
redis://:«hunter2»@cache:6379/0
amqp://guest:«guest»@rabbit//
mongodb+srv://root:«tiger»@cluster0.example.net/db
https://deploy:«gh-tok»@github.com/acme/shop.git
mysql+pymysql://u:«pa/ss»@host/db
postgres://u:«p@ss»@host/db
ftp://anonymous:«me»@ftp.example.org/pub
smtp://mailer:«x#y?z»@mail:587
(redis://default:«Zx9»@r1:6379, 3 tries)
git fetch https://x-access-token:«v1.abc»@github.com/a/b
ldap://cn=admin:«ldapPW»@dc1
broker 'amqps://svc:«a,b;c»@mq.example.com:5671/v'
clickhouse://default:«q»@ch
sqlserver://sa:«Your!Passw0rd»@localhost:1433
http://user:«1234»@localhost:8000/
imap://joe:«wörter»@imap.example.com
https://o:«a»@a.example and https://p:«b»@b.example
POST https://hooks.slack.com/services/«T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX» gave 404
https://hooks.slack.com/workflows/«T0/A0/1/abc»
https://discord.com/api/webhooks/123456789012345678/«abcDEF-ghi_jkl0123456789»
https://api.telegram.org/bot123456789:«AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1»/getMe
bot 1234567890:«AAFq9vX8c_KLm-0pQrStUvWxYz123456789» blocked
card «4111111111111111» declined
«4012888888881881»
paid with «4222222222222».
pan=«5555555555554444»
<«5105105105105100»>
{"n": "«2223003122003222»"}
number: «2221000000000009», expiry 12/27
charge of «2720990000000007»␤failed
(«378282246310005»)
#«371449635398431»
card «378734493671000» declined
«6011111111111117»
paid with «6011000990139424».
pan=«6500000000000002»
<«30569309025904»>
{"n": "«38520000023237»"}
number: «36006666333344», expiry 12/27
charge of «3530111333300000»␤failed
(«3566002020360505»)
#«6200000000000005»
card «6205500000000000004» declined
«6759649826438453»
paid with «4000056655665556».
pan=«5200828282828210»
<«4000000000000000006»>
{"n": "«6304000000000000»"}
card «4111 1111 1111 1111» exp 12/27
«4111-1111-1111-1111»
amex «3782 822463 10005» ok
amex «3714-496353-98431»
diners «3056 930902 5904»
«5555 5555 5555 4444» 123
call about «4012-8888-8888-1881», please
2 «6011 1111 1111 1117» left
«3530 1113 3330 0000»
«6200 0000 0000 0005»/«4111111111111111»
unionpay «6205 5000 0000 0000 004»
5555 «4111 1111 1111 1111» paid
login failed: password=«hunter2» for bob
GET /reset?token=«abc»&lang=en
pwd=«xy» 's
user=bob;password=«letmein»;host=db
Server=db;Uid=sa;Pwd=«Str0ng!»;Encrypt=yes
host=db user=app password=«s3» dbname=shop
api_key=«AbC»,region=eu
apiKey = «k1»
client_secret=«zzz» grant_type=refresh
refreshToken=«r1»
X-Auth-Token=«t9»
DB_PASSWORD=«q» in the environment
export AWS_SECRET_ACCESS_KEY=«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»
login(user='bob', password='«hunter 2»')
login(password="«a'b»", retries=3)
{'password': '«hunter2»', 'user': 'bob'}
{"api_key": "«x»", "page": 2}
{"password": "«with \" quote»", "a": 1}
{"password": «12345»}
{"tokens": «["a1", "b2"]», "n": 2}
{'passwords': «('a', 'b')», 'n': 2}
{'session_id': b'«38afes7a8»'}
{"body": "{\"password\": \"«deep»\"}"}
{"password": "«cut here»
"accessToken" : "«tok»",
{'Set-Cookie': '«sid=1; Path=/»'}
{:password=>"«rubyist»", :id=>1}
password => «perl»
pwd: «hunter2»
password: «Tr0ub4dor3»
Authorization: Token «9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b»
X-Api-Key: «4f3c2b1a»
Cookie: «sessionid=38afes7a8»; theme=dark
password := "«gopher»"
secret:"«js»"
creditCardNumber=«1234»
card number=«1234»
cvv=«123», zip=90210
iban=«DE89370400440532013000»
ssn=«078-05-1120» on file
otp=«482913»
csrf_token=«abcdef» missing
https://shop.example/cb?session_token=«s1#top»
retrying with secret=«a.b.c» now
KeyError: token=«x»
{'headers': {'X-Api-Key': '«k»'}}
private_key='«0xabc»'
passphrase=«correct-horse»
jwt=«opaque»
--password=«cli»
PGPASSWORD=«pg» psql
connection_string="«Server=x;Pwd=y»"
{"user": {"passwd": "«1»"}}
a="password=«nested»"
passwd="«p;q&r,s»"
""")

VALUES_THAT_STAY = _texts(r"""
checkout.completed ¦ order_10233 ¦ order-4111111111111111x ¦ 3f2b8c1e-5d4a-4f6b-9e7c-2a1b3c4d5e6f ¦ 550e8400-e29b-41d4-a716-446655440000
00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ¦ 4bf92f3577b34da6a3ce929d0e0e4736 ¦ 2026-11-21T22:18:27.123456Z ¦ 1732200000000
1732200000000000 ¦ 1732200000000000000 ¦ 0.4111111111111111 ¦ 4111111111111112 ¦ 4111 1111 1111 1112 ¦ 411111111111111 ¦ 41111111111111111
x4111111111111111 ¦ 4111111111111111x ¦ 4111111111111111.25 ¦ 1-4111111111111111 ¦ 4111111111111111-2 ¦ id_4111111111111111 ¦ 4111 11111111 1111
9999999999999995 ¦ 1234567812345670 ¦ 0000000000000000 ¦ 7992739871300003 ¦ 12.4111111111111111e5 ¦ 4111-1111 1111-1111 ¦ 411-111-111-111-1111
+49 30 901820 ¦ +1 (555) 010-9999 ¦ 192.168.10.24 ¦ 2001:db8::ff00:42:8329 ¦ 978-3-16-148410-0 ¦ 5901234123457 ¦ 9223372036854775807
task_live_4eC39HqLyjWDarjtT1zdp7dc ¦ pk_live_4eC39HqLyjWDarjtT1zdp7dc ¦ desk_test_abcdefghijklmnopqrst ¦ sk_live_ ¦ sk_live_short ¦ ghp_tooshort
highp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ¦ wolf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ¦ AKIA is the prefix of a key id ¦ AKIAshort ¦ AIza
sk-learn ¦ sk-circle-fade-dot-animation-loader ¦ task-0123456789abcdef0123 ¦ risk-assessment-2024-final-version ¦ whsec_short ¦ hf_hub_download
npm_config_registry ¦ npm_package_version ¦ pypi-simple ¦ pypi-attestations ¦ dapixabcdef ¦ SG.UTF-8 ¦ SKU-10233 ¦ SK1234 ¦ xoxb-short ¦ AGE-1
eyJ ¦ eyJhbGciOiJIUzI1NiJ9 ¦ eyJhbGciOiJIUzI1NiJ9.only ¦ keyJoin.a.b ¦ heyJude.is.a.song ¦ SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw
bearer of news ¦ Bearer token ¦ the bearer authenticates ¦ Bearer realm="api" ¦ Bearer error="invalid_token" ¦ Bearer authorization_uri="https://id.example.com"
missing Bearer credentials ¦ Bearer Authentication required ¦ a standard bearer walked by ¦ bearer, please ¦ Bearer
basic plan ¦ Basic settings saved ¦ upgraded from basic to pro ¦ Basic realm="Login" ¦ the basics are covered ¦ Basic authentication required ¦ basic
Visual Basic dialects ¦ BASIC ENGLISH course ¦ basic dXNlcg== ¦ basic tier: 3 seats ¦ BASIC-1981
-----BEGIN CERTIFICATE-----␤MIIDdzCCAl+gAwIBAgIEAgAAuTAN␤-----END CERTIFICATE----- ¦ -----BEGIN PUBLIC KEY-----␤MIIBIjANBgkqhkiG9w0B␤-----END PUBLIC KEY-----
-----BEGIN CERTIFICATE REQUEST----- ¦ -----END PRIVATE KEY----- ¦ ----- ¦ -----BEGIN ¦ a private key is required ¦ ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI bob@host
https://example.com/ ¦ https://example.com:8443/path?email=a@b.example ¦ http://localhost:8000 ¦ http://[::1]:8080/users/@me ¦ https://bob@example.com/x
postgres://db:5432/shop ¦ redis://cache:6379/0 ¦ git@github.com:acme/shop.git ¦ mailto:bob@example.com ¦ http://h:80, mail a@b.example ¦ ftp://ftp.example.org/pub
{"url": "http://h:80", "mail": "a@b.example"} ¦ urn:isbn:0451450523 ¦ file:///etc/hosts ¦ see http://host:8080. Or ask bob@example.com ¦ s3://bucket/key
https://medium.com/@bob/post-1a2b ¦ https://slack.com/services ¦ hooks.slack.com ¦ https://discord.com/channels/1/2 ¦ 12345678:AAshort ¦ C:\Users\bob@corp
token: expired ¦ password is required ¦ invalid token=None ¦ password=null ¦ token= ¦ password="" ¦ password='' ¦ secret=None) ¦ token=undefined
password=*** ¦ INSERT INTO users SET password=%s ¦ password=? ¦ {"password": null} ¦ {'token': None, 'n': 1} ¦ {"token": false} ¦ {"password": ""}
{"token": {"type": "x"}} ¦ max_tokens=4096 ¦ total tokens = 512 ¦ {"input_tokens": 31, "total_tokens": 44} ¦ token_type=Bearer ¦ token_count=7 ¦ cost per token=0.1
password == other ¦ token != expected ¦ the secret: never give up ¦ Password: must not be empty ¦ password reset: done ¦ token : none ¦ secret => ¦ token =~ x
secretary=Bob ¦ monkey=1 ¦ keyboard="de" ¦ passport_country=CA ¦ cookie_consent=yes ¦ session_ms=12 ¦ session_kind=guest ¦ authors="A, B" ¦ author=bob
status=200 path=/checkout method=POST ¦ a=1&b=2;c=3 ¦ x == y ¦ lambda: 0 ¦ {'a': 1, 'b': [2, 3]} ¦ key=user:42 ¦ cache_key=v1:cart:7 ¦ page=2
TypeError: unsupported operand type(s) for +: 'int' and 'str' ¦ KeyError: 'id' ¦ ValueError: invalid literal for int() with base 10: 'x' ¦ error: E1234ab
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 ¦ curl/8.5.0 ¦ python-requests/2.31.0
Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html) ¦ kube-probe/1.29 ¦ PostmanRuntime/7.36.1 ¦ gunicorn/21.2.0
/api/v1/orders/10233/items ¦ /reset/<token> ¦ /users/{id}/tokens ¦ /static/app.4f3c2b1a9d8e7f60.js ¦ /.well-known/jwks.json ¦ //cdn.example.com/x.js
SELECT id, total FROM orders WHERE user_id = 42 ¦ UPDATE carts SET total = 12.50 WHERE id = 'c_1' ¦ text/html; charset=utf-8 ¦ max-age=3600, public
  File "/srv/app/shop/payments.py", line 120, in charge␤    result = provider.charge(order.total, currency=order.currency) ¦ W/"67ab43-5d6f" ¦ gzip, deflate, br
Größe geändert ¦ 注文が完了しました ¦ Заказ оформлен ¦ 🛒 added ¦ naïve café ¦ ¯\_(ツ)_/¯ ¦ 12:30:45 ¦ 3.141592653589793 ¦ -1.7976931348623157e+308 ¦ [redacted]
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 ¦ da39a3ee5e6b4b0d3255bfef95601890afd80709 ¦ 01HFQ2Z9S8V7K6J5N4M3P2R1T0 ¦ cus_NffrFeUfNV2Hib
GB33BUKB20201555555555 in the text ¦ pi_3MtwBwLkdIwHu7ix28a3tqPa ¦ req_8aXk2p ¦ sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= ¦ v1.2.3-rc.1+build.5
""")
