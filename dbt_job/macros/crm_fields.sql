{# The CRM streams as functions/pipeline.yaml declares them; a test compares the two. `required` and `key` as in the contract. #}
{% macro crm_fields(stream) %}
  {%- set fields = {
    'crm.contacts': {
      'contact_id': 'string', 'email': 'string', 'full_name': 'string', 'phone': 'string', 'country': 'string', 'city': 'string',
      'lifecycle_stage': 'string', 'email_opt_in': 'bool', 'created_at': 'timestamp', 'updated_at': 'timestamp', 'is_deleted': 'bool'},
    'crm.products': {
      'product_id': 'string', 'product_name': 'string', 'category': 'string', 'price': 'numeric', 'currency': 'string',
      'status': 'string', 'created_at': 'timestamp', 'updated_at': 'timestamp'},
    'crm.orders': {
      'order_id': 'string', 'contact_id': 'string', 'contact_email': 'string', 'order_at': 'timestamp', 'amount': 'numeric', 'currency': 'string',
      'tax': 'numeric', 'shipping': 'numeric', 'discount': 'numeric', 'refund': 'numeric', 'item_count': 'int64',
      'status': 'string', 'campaign_id': 'string', 'channel': 'string', 'payment_method': 'string', 'utm_source': 'string',
      'utm_medium': 'string', 'utm_campaign': 'string', 'utm_id': 'string', 'transaction_id': 'string',
      'user_pseudo_id': 'string', 'is_repeat': 'bool', 'updated_at': 'timestamp', 'is_deleted': 'bool'},
    'crm.order_items': {
      'order_id': 'string', 'line_number': 'int64', 'product_id': 'string', 'product_name': 'string', 'quantity': 'numeric',
      'unit_price': 'numeric', 'discount': 'numeric', 'line_total': 'numeric', 'updated_at': 'timestamp'},
    'crm.support_tickets': {
      'ticket_id': 'string', 'contact_id': 'string', 'requester_email': 'string', 'order_id': 'string', 'product_id': 'string',
      'channel': 'string', 'group_name': 'string', 'status': 'string', 'priority': 'string', 'created_at': 'timestamp',
      'first_response_at': 'timestamp', 'resolved_at': 'timestamp', 'closed_at': 'timestamp', 'reply_count': 'int64',
      'reopen_count': 'int64', 'rating': 'int64', 'updated_at': 'timestamp'},
    'crm.campaigns': {
      'campaign_id': 'string', 'campaign_name': 'string', 'channel': 'string', 'objective': 'string', 'status': 'string',
      'start_date': 'date', 'end_date': 'date', 'budget': 'numeric', 'currency': 'string', 'updated_at': 'timestamp'},
    'crm.exchange_rates': {
      'rate_date': 'date', 'currency': 'string', 'quote_currency': 'string', 'rate': 'numeric'}} -%}
  {{ return(fields[stream]) }}
{% endmacro %}

{# What no row may lack here. A derivable field is not among them: extraction sets a row without it aside, unless its file's
   preset declares that the export gives none. #}
{% macro crm_required(stream) %}
  {{ return({
    'crm.contacts': ['contact_id'],
    'crm.products': ['product_id'],
    'crm.orders': ['order_id', 'order_at'],
    'crm.order_items': ['order_id', 'quantity'],
    'crm.support_tickets': ['ticket_id', 'created_at'],
    'crm.campaigns': ['campaign_id'],
    'crm.exchange_rates': ['rate_date', 'currency', 'rate']}[stream]) }}
{% endmacro %}

{% macro crm_streams() %}
  {{ return(['crm.contacts', 'crm.products', 'crm.orders', 'crm.order_items', 'crm.support_tickets', 'crm.campaigns', 'crm.exchange_rates']) }}
{% endmacro %}

{# Never shown outside silver_pii, not even as the value of a row that was set aside. #}
{% macro personal_fields() %}
  {{ return(['email', 'full_name', 'phone', 'contact_email', 'requester_email']) }}
{% endmacro %}

{# What a record of a file is when two versions of the file are compared: the key, but all lines of an order are one record. #}
{% macro crm_record(stream) %}
  {{ return({
    'crm.contacts': ['contact_id'],
    'crm.products': ['product_id'],
    'crm.orders': ['order_id'],
    'crm.order_items': ['order_id'],
    'crm.support_tickets': ['ticket_id'],
    'crm.campaigns': ['campaign_id'],
    'crm.exchange_rates': ['rate_date', 'currency']}[stream]) }}
{% endmacro %}
