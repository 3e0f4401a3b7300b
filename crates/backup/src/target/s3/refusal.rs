//! The errors of S3 by their codes: the status alone says too little.

use roxmltree::Document;
use ureq::http::{HeaderMap, StatusCode};

use super::super::TargetFailure;

/// What the codes mean that an operator can do something about (S3's API reference, "Error
/// responses").
const MEANINGS: [(&[&str], &str, &str); 12] = [
    (
        &["RequestTimeTooSkewed", "RequestExpired", "AccessDeniedClockSkew"],
        "its clock and the clock of this machine differ too much",
        "set the clock of this machine, such as with `timedatectl set-ntp true`",
    ),
    (&["NoSuchBucket"], "the bucket does not exist", "create the bucket, or correct `bucket`"),
    (
        &["InvalidBucketName", "InvalidBucketState"],
        "the name of the bucket is invalid",
        "correct `bucket`",
    ),
    (
        &["InvalidAccessKeyId", "InvalidToken", "ExpiredToken"],
        "it does not know the access key",
        "check `access_key`, and that the key is enabled at this provider",
    ),
    (
        &["SignatureDoesNotMatch", "IncorrectSignature"],
        "the secret key does not belong to the access key",
        "check the file of `secret_key_file`",
    ),
    (
        &["AccessDenied", "AllAccessDisabled", "MethodNotAllowed"],
        "the policy of the key or the bucket does not allow this",
        "allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects",
    ),
    (
        &["AccountProblem", "NotSignedUp", "InvalidPayer", "OptInRequired"],
        "the account is not allowed to use the service",
        "ask the provider about the account",
    ),
    (
        &["ObjectLocked", "InvalidRetentionPeriod", "ObjectLockConfigurationNotFoundError"],
        "a retention lock of the bucket does not allow this",
        "wait until the lock ends, or prune with the life cycle rules of the bucket",
    ),
    (
        &["InvalidObjectState"],
        "the object is in an archive class and cannot be read",
        "restore the object to a class that can be read, and keep backups out of archive classes",
    ),
    (
        &["InvalidStorageClass"],
        "it does not know the storage class",
        "check the default storage class of the bucket",
    ),
    (
        &["KMS.DisabledException", "KMS.NotFoundException", "KMSAccessDeniedException"],
        "the key of the server-side encryption cannot be used",
        "check the default encryption of the bucket",
    ),
    (
        &["NotImplemented", "UnsupportedHeader"],
        "it does not know what was asked",
        "check that the address is that of a service which speaks S3",
    ),
];

/// What a refusal means; `None` where it has no code, or the status says it all.
pub(super) fn explain(
    status: StatusCode,
    headers: &HeaderMap,
    said: &str,
) -> Option<TargetFailure> {
    let document = Document::parse(said).ok();
    let find = |name: &str| {
        let nodes = document.as_ref()?.root_element().descendants();
        let text = nodes.filter(|node| node.tag_name().name() == name).find_map(|node| node.text());
        text.map(str::trim).filter(|text| is_word(text))
    };
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let region = find("Region").or_else(|| header("x-amz-bucket-region"));
    let code = find("Code").or_else(|| header("x-minio-error-code"));
    let moved = (status.is_redirection() && region.is_some()).then_some(status.as_str());
    let code = code.or(moved)?;
    Some(match code {
        "AuthorizationHeaderMalformed"
        | "AuthorizationQueryParametersError"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "IllegalLocationConstraintException"
        | "301"
        | "307" => wrong_region(code, region),
        "NoSuchKey" | "NoSuchUpload" => TargetFailure::NotFound,
        "PreconditionFailed" => TargetFailure::Taken,
        "EntityTooLarge" | "MaxMessageLengthExceeded" => TargetFailure::TooLarge,
        "XMinioStorageFull"
        | "XMinioStorageQuotaExceeded"
        | "XMinioAdminBucketQuotaExceeded"
        | "QuotaExceeded"
        | "InsufficientStorage" => TargetFailure::Full,
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "ServiceUnavailable"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "RequestTimeout" => TargetFailure::Busy { status: status.as_u16(), retry_after: None },
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch" => TargetFailure::Differs {
            expected: "the hash that was sent".to_owned(),
            actual: format!("another ({code})"),
        },
        _ => {
            let known = MEANINGS.iter().find(|(codes, ..)| codes.contains(&code));
            match known {
                Some((_, fact, hint)) => {
                    TargetFailure::Refused { code: code.to_owned(), fact: (*fact).to_owned(), hint }
                }
                None if status.is_server_error() => return None,
                None => TargetFailure::Refused {
                    code: code.to_owned(),
                    fact: format!("it answered {}", status.as_u16()),
                    hint: "look for this code in the documentation of the provider",
                },
            }
        }
    })
}

fn wrong_region(code: &str, region: Option<&str>) -> TargetFailure {
    TargetFailure::Refused {
        code: code.to_owned(),
        fact: match region {
            Some(region) => format!("the bucket is in the region `{region}`"),
            None => "the bucket is in another region".to_owned(),
        },
        hint: "set `region`, and the endpoint of that region",
    }
}

/// Codes and regions are words; what else stands there is not repeated.
fn is_word(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(is_part)
}

/// Whether a server refuses a header that it does not know, by the code of its refusal.
pub(super) fn is_not_implemented(failure: &TargetFailure) -> bool {
    match failure {
        TargetFailure::Refused { code, .. } => {
            matches!(
                code.as_str(),
                "NotImplemented" | "UnsupportedHeader" | "InvalidArgument" | "InvalidRequest"
            )
        }
        TargetFailure::Server { status } => *status == 501,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(status: u16, code: &str, more: &str) -> Option<TargetFailure> {
        let said = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message>{more}</Error>"
        );
        explain(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), &said)
    }

    #[test]
    fn each_code_has_its_sentence_and_its_remedy() {
        for (status, code, more, fact, hint) in [
            (403, "RequestTimeTooSkewed", "", "clock", "set the clock"),
            (404, "NoSuchBucket", "", "the bucket does not exist", "create the bucket"),
            (
                400,
                "AuthorizationHeaderMalformed",
                "<Region>eu-west-1</Region>",
                "in the region `eu-west-1`",
                "set `region`",
            ),
            (301, "PermanentRedirect", "", "another region", "set `region`"),
            (403, "AccessDenied", "", "policy", "s3:PutObject"),
            (403, "SignatureDoesNotMatch", "", "the secret key", "secret_key_file"),
            (403, "InvalidAccessKeyId", "", "the access key", "access_key"),
            (400, "SomethingNew", "", "it answered 400 (SomethingNew)", "documentation"),
        ] {
            let failure = explained(status, code, more).unwrap();
            assert!(!failure.is_retryable(), "{code}");
            let said = failure.to_string();
            assert!(said.contains(fact) && said.contains(code), "{said}");
            assert!(failure.hint().contains(hint), "{code}: {}", failure.hint());
        }
    }

    #[test]
    fn codes_that_other_kinds_of_targets_know_are_theirs() {
        type Is = fn(&TargetFailure) -> bool;
        let cases: [(u16, &str, Is); 6] = [
            (404, "NoSuchKey", |failure| matches!(failure, TargetFailure::NotFound)),
            (412, "PreconditionFailed", |failure| matches!(failure, TargetFailure::Taken)),
            (400, "EntityTooLarge", |failure| matches!(failure, TargetFailure::TooLarge)),
            (507, "XMinioStorageFull", |failure| matches!(failure, TargetFailure::Full)),
            (503, "SlowDown", TargetFailure::is_retryable),
            (409, "ConditionalRequestConflict", TargetFailure::is_retryable),
        ];
        for (status, code, is) in cases {
            assert!(is(&explained(status, code, "").unwrap()), "{code}");
        }
        assert!(explained(500, "InternalError", "").is_none());
        assert!(explained(403, "two words", "").is_none());
        let page = "<html><body>Forbidden</body></html>";
        assert!(explain(StatusCode::FORBIDDEN, &HeaderMap::new(), page).is_none());
    }
}
