{{ config(severity='warn') }}
-- What the audit found; none of it stops a build.
select * from {{ ref('aud_findings') }} where severity != 'info'
