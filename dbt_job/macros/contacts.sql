{# The salted hash that stands for an e-mail address outside silver_pii: equal addresses have equal hashes. #}
{% macro email_hash(address) -%}
  to_hex(sha256(concat((select salt from {{ source('silver_pii', 'salt') }}), lower({{ address }}))))
{%- endmacro %}

{# Rows of a relation with the contact that they belong to: by its id where the CRM knows the id, else by the e-mail address,
   else by the id alone (dim_contacts adds an inferred row for it). contact_match says which. #}
{% macro with_contact(relation, hash_column) %}
  select
    r.*,
    coalesce(by_id.contact_id, by_email.contact_id, r.contact_id) as matched_contact_id,
    {{ key_or_unknown('coalesce(by_id.contact_id, by_email.contact_id, r.contact_id)',
                      ['r.account_id', 'coalesce(by_id.contact_id, by_email.contact_id, r.contact_id)']) }} as contact_key,
    case
      when by_id.contact_id is not null then 'contact_id'
      when by_email.contacts > 1 then 'shared_email'
      when by_email.contact_id is not null then 'email'
      when r.contact_id is not null then 'inferred'
      else 'none'
    end as contact_match
  from {{ relation }} as r
  left join {{ ref('slv_contact_refs') }} as by_id
    on by_id.ref_kind = 'id' and by_id.account_id = r.account_id and by_id.ref_value = r.contact_id
  left join {{ ref('slv_contact_refs') }} as by_email
    on by_email.ref_kind = 'email' and by_email.account_id = r.account_id and by_email.ref_value = r.{{ hash_column }}
{% endmacro %}
