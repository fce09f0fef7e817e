select email_hash, count(*) as contacts, count(first_order_date) as buyers, min(created_at) as first_created_at, max(created_at) as last_created_at
from {{ ref('dim_contacts') }}
where email_hash is not null and not is_deleted
group by email_hash
having count(*) > 1
