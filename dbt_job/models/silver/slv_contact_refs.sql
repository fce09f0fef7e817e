{{ config(materialized='table') }}
-- An address that several contacts share means one of them, always the same: one that is not deleted, then the oldest, then
-- the smallest id.
with contacts as (
  select account_id, contact_id, {{ email_hash('email') }} as email_hash, is_deleted, created_at from {{ ref('slv_crm__contacts') }}
)
select account_id, 'id' as ref_kind, contact_id as ref_value, contact_id, 1 as contacts
from contacts
union all
select account_id, 'email', email_hash, contact_id, contacts
from (
  select
    account_id, email_hash, contact_id,
    count(*) over (partition by account_id, email_hash, is_deleted) as contacts,
    row_number() over (
      partition by account_id, email_hash order by is_deleted, created_at is null, created_at, contact_id) as preference
  from contacts
  where email_hash is not null
)
where preference = 1
